// The page for the person who runs the desk: what is in work, and what was refused since the start.
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { t, translatePage, whole } from "./i18n.js";
import { usePreferences } from "./state.js";

const rows = (counts, word) => Object.entries(counts).flatMap(([code, n]) => [h("dt", {}, whole(n)), h("dd", {}, word(code))]);

async function start() {
  const [{ in_work: work, refused }] = await Promise.all([api.status(), usePreferences()]);
  translatePage();
  $("work").replaceChildren(...rows(work, (code) => t(`status.${code}`)));
  $("refused").replaceChildren(...rows(refused, (code) => t(`error.${code}`)));
  document.body.dataset.ready = "true";
}

start();

// The page for the person who runs the desk: what is in work, and what was refused since the start.
import { reasonOf } from "./adding.js";
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { t, translatePage, whole } from "./i18n.js";
import { usePreferences } from "./state.js";

const rows = (counts, word) => Object.entries(counts).flatMap(([code, n]) => [h("dt", {}, whole(n)), h("dd", {}, word(code))]);

async function start() {
  await usePreferences();
  translatePage();
  try {
    const { in_work: work, refused } = await api.status();
    $("work").replaceChildren(...rows(work, (code) => t(`status.${code}`)));
    $("refused").replaceChildren(...rows(refused, (code) => t(`error.${code}`)));
    $("counts").hidden = false;
  } catch (error) {
    $("status-note").textContent = error.code === "not_your_role" ? t("status_needs") : reasonOf(error);
  }
  document.body.dataset.ready = "true";
}

start();

// One image after the other on the desk, each with a model's suggestions.
import { reasonOf } from "./adding.js";
import { api } from "./api.js";
import { allSaved, step, takeAnnotation } from "./decisions.js";
import { $ } from "./dom.js";
import { t } from "./i18n.js";
import { renderQueue } from "./queue.js";
import { note, notice, renderStage } from "./stage.js";
import { FACETS, desk, placeInQueue } from "./state.js";

const SLOW_MS = 400; // the first picture waits until the model is loaded
let opening = 0;

export async function openImage(id, focus = false) {
  const turn = ++opening;
  $("trees").setAttribute("aria-busy", "true");
  await allSaved();
  const { image, annotation } = await api.image(id);
  if (turn !== opening) return;
  Object.assign(desk, { image, annotation, showing: null, openedAt: new Date().toISOString(), clicks: 0 });
  history.replaceState(null, "", `#image=${id}`);
  $("saved").textContent = "";
  $("notices").replaceChildren();
  renderStage();
  renderQueue();
  for (const tree of Object.values(desk.trees)) tree.show(null, {});
  takeAnnotation(annotation);
  await suggest(turn);
  if (focus) desk.trees[FACETS[0]].focus();
}

// Why an image comes without suggestions, if it does.
export const standingNote = () => (desk.image.blind ? t("blind") : desk.about.default_model ? "" : t("no_suggestions"));

export async function suggest(turn = opening) {
  note(standingNote());
  if (!desk.image.blind && desk.about.default_model) {
    const slow = setTimeout(() => note(t("suggesting")), SLOW_MS);
    try {
      const answer = await api.suggestions(desk.image.image_id, $("model").value);
      if (turn !== opening) return;
      desk.showing = answer;
      for (const [facet, tree] of Object.entries(desk.trees)) tree.show(answer.facets[facet], answer.nodes);
      note("");
    } catch (error) {
      note(reasonOf(error));
    } finally {
      clearTimeout(slow);
    }
  }
  takeAnnotation(desk.annotation);
  $("trees").removeAttribute("aria-busy");
}

// `kind`: done, skip or reopen
export async function finish(kind) {
  const on = desk.image.image_id;
  await step((id, body) => api.move(id, { ...body, kind }), () => t("saved"));
  if (desk.image?.image_id === on && kind !== "reopen" && desk.annotation.state !== "open") await nextOpen();
}

async function nextOpen() {
  const at = placeInQueue();
  const others = [...desk.queue.slice(at + 1), ...desk.queue.slice(0, Math.max(0, at))];
  const next = others.find((each) => each.state === "open") ?? (desk.progress.open > 0 ? (await api.firstOpen()).images[0] : undefined);
  if (next && next.image_id !== desk.image?.image_id) return openImage(next.image_id);
  if (desk.progress.all) notice(t("all_done"), [[t("export"), desk.acts.export], [t("add_images"), desk.acts.add]]);
}

export function neighbour(by) {
  const next = desk.queue[placeInQueue() + by];
  if (next) openImage(next.image_id);
}

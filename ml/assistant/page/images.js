// Opens images one after the other, with a model's suggestions.
import { reasonOf } from "./adding.js";
import { api } from "./api.js";
import { placeToAddress } from "./choosing.js";
import { allSaved, step, takeAnnotation } from "./decisions.js";
import { $ } from "./dom.js";
import { t, whole } from "./i18n.js";
import { firstToDo, renderQueue } from "./queue.js";
import { note, notice, renderStage } from "./stage.js";
import { facets, placeInQueue, state } from "./state.js";

const SLOW_MS = 400; // the first picture waits until the model is loaded
let opening = 0;

export async function openImage(id, focus = false) {
  const turn = ++opening;
  $("trees").setAttribute("aria-busy", "true");
  await allSaved();
  const { image, annotation } = await api.image(id);
  if (turn !== opening) return;
  Object.assign(state, { image, annotation, showing: null, openedAt: new Date().toISOString(), clicks: 0 });
  placeToAddress(id);
  $("saved").textContent = "";
  $("notices").replaceChildren();
  renderStage();
  renderQueue();
  for (const tree of Object.values(state.trees)) tree.show(null, {});
  takeAnnotation(annotation);
  await suggest(turn);
  if (focus) state.trees[facets()[0]].focus();
}

// Why an image has no suggestions; empty if it has some.
export const suggestionsNote = () => (state.image.blind ? t("blind") : state.about.default_model ? "" : t("no_suggestions"));

export async function suggest(turn = opening) {
  note(suggestionsNote());
  if (!state.image.blind && state.about.default_model) {
    const slow = setTimeout(() => note(t("suggesting")), SLOW_MS);
    try {
      const answer = await api.suggestions(state.image.image_id, $("model").value);
      if (turn !== opening) return;
      state.showing = answer;
      for (const [facet, tree] of Object.entries(state.trees)) tree.show(answer.facets[facet], answer.nodes);
      $("legend").hidden = !Object.values(state.trees).some((tree) => tree.isCounted());
      note("");
    } catch (error) {
      note(reasonOf(error));
    } finally {
      clearTimeout(slow);
    }
  }
  takeAnnotation(state.annotation);
  $("trees").removeAttribute("aria-busy");
}

// `kind`: done, skip or reopen
export async function finish(kind) {
  const on = state.image.image_id;
  await step((id, body) => api.move(id, { ...body, kind }, { ...state.chosen, who: body.who }), () => t("saved"));
  if (state.image?.image_id === on && kind !== "reopen" && state.annotation.state !== "open") await nextOpen();
}

async function nextOpen() {
  const at = placeInQueue();
  const others = [...state.queue.slice(at + 1), ...state.queue.slice(0, Math.max(0, at))];
  const wanted = state.chosen.state === "skipped" ? "skipped" : "open";
  const next = others.find((each) => each.state === wanted) ?? (state.progress[wanted] > 0 ? await firstToDo() : undefined);
  if (next && next.image_id !== state.image?.image_id) return openImage(next.image_id);
  if (!state.progress.all) return;
  const back = state.progress.skipped ? [[t("come_back", { n: whole(state.progress.skipped) }), () => state.acts.show({ ...state.chosen, state: "skipped" })]] : [];
  notice(t(back.length ? "only_skipped" : "all_done"), [...back, [t("export"), state.acts.export], [t("add_images"), state.acts.add]]);
}

export function neighbour(by) {
  const next = state.queue[placeInQueue() + by];
  if (next) openImage(next.image_id);
}

// The queue of images along the lower edge, and the progress.
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { number, t, whole } from "./i18n.js";
import { state, who } from "./state.js";

const PAGE = 200;

export function takeProgress(next) {
  state.progress = next;
  $("progress-text").textContent = [t("progress", { done: whole(next.done), all: whole(next.all) }), timeLeft(next)].filter(Boolean).join(", ");
  $("progress-bar").max = Math.max(1, next.all);
  $("progress-bar").value = next.done + next.skipped;
}

function timeLeft({ open, left_s: seconds }) {
  if (!open || seconds === null || seconds === undefined) return "";
  return seconds < 5400 ? t("left_minutes", { n: whole(Math.max(1, Math.round(seconds / 60))) }) : t("left_hours", { n: number(seconds / 3600, 1) });
}

export function renderQueue() {
  const list = $("queue");
  const items = state.queue.map((each) => h("li", {}, thumbnail(each)));
  if (state.queueStart > 0) items.unshift(h("li", {}, h("button", { type: "button", onclick: earlier }, t("earlier"))));
  if (placeAfter() < inQueue()) items.push(h("li", {}, h("button", { type: "button", onclick: more }, t("load_more"))));
  const had = list.contains(document.activeElement);
  list.replaceChildren(...items);
  const current = list.querySelector('[aria-current="true"]');
  current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (had) current?.focus({ preventScroll: true });
  $("work").hidden = $("open-grid").hidden = !state.image;
  const chosen = Object.keys(state.chosen).length > 0;
  $("empty").hidden = Boolean(state.image) || state.queue.length > 0 || chosen;
  $("empty-queue").hidden = Boolean(state.image) || state.queue.length > 0 || !chosen;
}

function thumbnail(each) {
  const title = each.title || t("untitled");
  return h("button", {
    type: "button", class: "thumb", "data-state": each.state, "aria-current": each.image_id === state.image?.image_id ? "true" : null,
    "aria-label": `${title}, ${t(`${each.state}_mark`)}`, title, onclick: () => state.acts.open(each.image_id),
  },
  h("img", { src: `/api/images/${each.image_id}/thumbnail`, alt: "", loading: "lazy", width: 52, height: 52 }),
  each.state === "open" ? null : h("span", { class: "state", "aria-hidden": "true" }, each.state === "done" ? "✓" : "→"));
}

// How many images the chosen queue has on the server.
const inQueue = () => state.progress[state.chosen.state ?? "all"] ?? 0;

// Where the server's queue goes on. Images that have left it since, such as those done in a queue of open ones, do not count.
const placeAfter = () => state.queueStart + state.queue.filter((each) => !state.chosen.state || each.state === state.chosen.state).length;

export const refreshQueue = (at) => load(0, at, () => []);
const more = () => load(placeAfter(), undefined, () => state.queue);
const earlier = () => load(Math.max(0, state.queueStart - PAGE), undefined, () => state.queue, true);

async function load(offset, at, known, before = false) {
  const answer = await api.queue({ ...state.chosen, offset, limit: PAGE, at, who: who() });
  const old = known();
  const fresh = answer.images.filter((each) => !old.some((other) => other.image_id === each.image_id));
  if (before || !old.length) state.queueStart = answer.offset;
  state.queue = before ? fresh.concat(old) : old.concat(fresh);
  state.ranking = answer.ranking;
  takeProgress(answer.progress);
  renderQueue();
}

// The next image of the queue that is still to do, beyond those that the page knows.
export async function firstToDo() {
  const answer = await api.queue({ ...state.chosen, state: state.chosen.state === "skipped" ? "skipped" : "open", limit: 2, who: who() });
  return answer.images.find((each) => each.image_id !== state.image?.image_id);
}

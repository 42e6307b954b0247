// Many images at once: a grid of those added together or of those that look alike, and one decision on the chosen ones.
import { notSaved, reasonOf } from "./adding.js";
import { api, newKey } from "./api.js";
import { $, h } from "./dom.js";
import { labelOf, t, whole } from "./i18n.js";
import { openImage } from "./images.js";
import { refreshQueue } from "./queue.js";
import { notice } from "./stage.js";
import { facetLabel, facets, state, who } from "./state.js";

const MARKS = { accepted: "✓", implied: "✓", rejected: "✕", excluded: "✕" };

let tags = new Map(); // the tags that the grid offers, by id
let images = []; // with what holds for the tag on each
let chosen = new Set(); // ids
let active = 0; // position of the one tab stop
let anchor = 0; // where a range begins
let steps = []; // what was decided here, to undo: {tag, versions}
let openedAt = null;
let turn = 0;
let next = null; // the image to open when the grid is left
let changed = false; // whether the page behind must be read again

const tag = () => $("grid-tag").value;
const option = (at) => $("grid").children[at];

// Opens the grid for a tag, or for the first one of the current image.
export function openGrid(node) {
  tags = offered(node);
  if (!state.image) return;
  if (!tags.size) return notice(t("grid_no_tag"), []);
  const labelled = [...tags.values()];
  $("grid-tag").replaceChildren(...facets().map((facet) => {
    const own = labelled.filter((each) => each.facet === facet);
    return own.length ? h("optgroup", { label: facetLabel(facet) }, own.map((each) => h("option", { value: each.tag_id }, labelOf(each).text))) : null;
  }).filter(Boolean));
  $("grid-tag").value = node?.tag_id ?? labelled[0].tag_id;
  $("grid-of").value = state.image.batch ? "batch" : "like";
  $("grid-of").options[1].disabled = !state.about.default_model;
  steps = [];
  changed = false;
  openedAt = new Date().toISOString();
  $("dialog-grid").showModal();
  load();
}

// The given tag, the accepted ones and the suggestions of the current image.
function offered(node) {
  const { accepted, nodes } = state.annotation ?? { accepted: [], nodes: {} };
  const shown = Object.values(state.showing?.facets ?? {}).flatMap((facet) => facet.tags.map((each) => state.showing.nodes[each.tag_id]));
  return new Map([node, ...accepted.map((id) => nodes[id]), ...shown].filter(Boolean).map((each) => [each.tag_id, each]));
}

async function load(keep = false) {
  const mine = ++turn;
  if (!keep) { images = []; chosen = new Set(); active = anchor = 0; }
  told(t("grid_loading"));
  try {
    const found = await api.grid({ image_id: state.image.image_id, of: $("grid-of").value, tag_id: tag(), model: $("model").value || null, offset: keep ? images.length : 0 });
    if (mine !== turn) return;
    images = keep && $("grid-of").value === "batch" ? images.concat(found.images) : found.images;
    render();
    if (document.activeElement === $("dialog-grid").querySelector(".close")) option(0)?.focus(); // it was opened just now
    told("");
    const left = $("grid-of").value === "batch" ? found.all - images.length : found.all - found.seen;
    $("grid-more").hidden = left <= 0;
    $("grid-more").textContent = t($("grid-of").value === "batch" ? "grid_more" : "grid_compare", { n: whole(Math.max(0, left)) });
  } catch (error) {
    if (mine === turn) { render(); told(reasonOf(error)); }
  }
}

function render() {
  const had = $("grid").contains(document.activeElement);
  active = Math.min(active, Math.max(0, images.length - 1));
  $("grid").replaceChildren(...images.map(entry));
  if (had) option(active)?.focus();
  renderActs();
}

function entry(image, at) {
  const title = image.title || t("untitled");
  const mark = image.verdict && h("span", { class: "mark", "aria-hidden": "true" }, MARKS[image.verdict]);
  const said = [title, image.verdict && t(`state.${image.verdict}`), image.image_id === state.image.image_id && t("grid_this_one")].filter(Boolean).join(", ");
  return h("li", { role: "option", tabindex: at === active ? 0 : -1, "aria-selected": String(chosen.has(image.image_id)), "aria-label": said, title: said, class: image.verdict, "data-at": at },
    h("img", { src: `/api/images/${image.image_id}/thumbnail`, alt: "", loading: "lazy" }), h("span", { class: "tick", "aria-hidden": "true" }), mark, h("span", { class: "name", "aria-hidden": "true" }, title));
}

function renderActs() {
  const n = chosen.size;
  const name = tags.has(tag()) ? labelOf(tags.get(tag())).text : "";
  $("grid-count").textContent = t("grid_chosen", { n: whole(n), all: whole(images.length) });
  $("grid-accept").textContent = t("grid_accept", { tag: name, n: whole(n) });
  $("grid-reject").textContent = t("grid_reject", { tag: name, n: whole(n) });
  $("grid-accept").disabled = $("grid-reject").disabled = n === 0;
  $("grid-undo").disabled = steps.length === 0;
}

function told(text) { $("grid-state").textContent = text; }

function choose(at, { range = false, on } = {}) {
  const [from, to] = range ? [Math.min(anchor, at), Math.max(anchor, at)] : [at, at];
  const want = on ?? (range || !chosen.has(images[at].image_id));
  for (let each = from; each <= to; each += 1) {
    if (want) chosen.add(images[each].image_id);
    else chosen.delete(images[each].image_id);
    option(each).setAttribute("aria-selected", String(want));
  }
  if (!range) anchor = at;
  renderActs();
}

function chooseAll(on) {
  images.forEach((_, at) => choose(at, { on }));
}

function go(to) {
  if (!images.length) return;
  option(active)?.setAttribute("tabindex", "-1");
  active = Math.max(0, Math.min(images.length - 1, to));
  option(active).tabIndex = 0;
  option(active).focus();
  option(active).scrollIntoView({ block: "nearest" });
}

// How many images stand in a row.
function across() {
  const first = option(0)?.offsetTop;
  const row = [...$("grid").children].findIndex((each) => each.offsetTop !== first);
  return row < 0 ? images.length : row;
}

const body = (versions) => ({ who: who(), key: newKey(), opened_at: openedAt, clicks: state.clicks, images: versions });

async function decide(action) {
  const on = images.filter((each) => chosen.has(each.image_id));
  if (!on.length) return;
  const name = tags.get(tag());
  const asked = { ...body(Object.fromEntries(on.map((each) => [each.image_id, each.version]))), tag_id: tag(), action };
  const answer = await send(() => api.decideTogether(asked));
  if (!answer) return;
  if (Object.keys(answer.saved).length) steps.push({ node: name, versions: answer.saved });
  await readAgain();
  told([t(`grid_said.${action}`, { tag: labelOf(name).text, n: whole(Object.keys(answer.saved).length) }), unchangedText(answer), problemText(answer)].filter(Boolean).join(" "));
}

async function undo() {
  const last = steps.pop();
  if (!last) return;
  const answer = await send(() => api.undoTogether(body(last.versions)));
  if (!answer) { steps.push(last); return; }
  await readAgain();
  told([t("grid_said.undo", { tag: labelOf(last.node).text, n: whole(Object.keys(answer.saved).length) }), problemText(answer)].filter(Boolean).join(" "));
}

async function send(request) {
  told(t("saving"));
  try {
    const answer = await request();
    state.clicks = 0;
    changed = true;
    return answer;
  } catch (error) {
    told(notSaved(error));
    return null;
  }
}

// The same images with what holds now; those that were chosen stay chosen.
async function readAgain() {
  const of = $("grid-of").value;
  const order = images.map((each) => each.image_id);
  const found = new Map();
  while (found.size < order.length) {
    const page = await api.grid({ image_id: state.image.image_id, of, tag_id: tag(), model: $("model").value || null, offset: of === "batch" ? found.size : 0 });
    for (const each of page.images) found.set(each.image_id, each);
    if (of === "like" || !page.images.length) break;
  }
  images = order.map((id) => found.get(id) ?? images.find((each) => each.image_id === id));
  render();
}

const unchangedText = ({ unchanged }) => unchanged.length && t("grid_unchanged", { n: whole(unchanged.length) });

function problemText({ problems }) {
  const told = (key, some, more = {}) => some.length && t(key, { n: whole(some.length), titles: [...new Set(some.map(titleOf))].join(", "), ...more });
  const [others, failed] = [problems.filter((each) => each.error === "conflict"), problems.filter((each) => each.error !== "conflict")];
  return [told("grid_problems", others), told("grid_failed", failed, { reason: reasonOf({ code: failed[0]?.error, message: failed[0]?.message }) })].filter(Boolean).join(" ");
}

const titleOf = ({ image_id: id }) => images.find((each) => each.image_id === id)?.title || t("untitled");

function onKey(event) {
  if (event.altKey) return;
  const wide = across();
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide, Home: -images.length, End: images.length };
  const single = state.acts.singleKeys() && !event.ctrlKey && !event.metaKey;
  if (event.key in moves && !event.ctrlKey && !event.metaKey) {
    go(active + moves[event.key]);
    if (event.shiftKey && images.length) choose(active, { range: true });
  } else if (event.key === " " && images.length) choose(active, { range: event.shiftKey });
  else if ((event.ctrlKey || event.metaKey) && event.key === "a") chooseAll(true);
  else if (event.key === "Enter" && images.length) { next = images[active].image_id; $("dialog-grid").close(); }
  else if (single && event.key === "a") decide("accept");
  else if (single && event.key === "r") decide("reject");
  else if (single && event.key === "u") undo();
  else return;
  event.preventDefault();
  event.stopPropagation();
  state.acts.clicked();
}

// The page behind shows what was decided in the grid, or the image that was opened from it.
async function closed() {
  turn += 1;
  const [id, read] = [next, changed];
  next = null;
  changed = false;
  if (read) await refreshQueue(id ?? state.image?.image_id);
  if (id || (read && state.image)) await openImage(id ?? state.image.image_id, Boolean(id));
}

export function startGrid() {
  const on = (id, kind, run) => $(id).addEventListener(kind, run);
  on("open-grid", "click", () => openGrid());
  on("grid-tag", "change", () => load());
  on("grid-of", "change", () => load());
  on("grid-more", "click", () => load(true));
  on("grid-all", "click", () => chooseAll(true));
  on("grid-none", "click", () => chooseAll(false));
  on("grid-accept", "click", () => decide("accept"));
  on("grid-reject", "click", () => decide("reject"));
  on("grid-undo", "click", undo);
  on("grid", "keydown", onKey);
  on("grid", "click", (event) => {
    const item = event.target.closest("[role=option]");
    if (!item) return;
    go(Number(item.dataset.at));
    choose(active, { range: event.shiftKey });
  });
  on("dialog-grid", "close", closed);
}

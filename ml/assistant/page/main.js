// The page: one image at a time beside one tree per facet; a step counts as done after it was saved.
import { reasonOf, startAdding } from "./adding.js";
import { ApiError, api } from "./api.js";
import { changeLanguage, offerLanguages, switchTheme, translate } from "./appearance.js";
import { chooseQueue, learnGroups, placeInAddress, placeToAddress, startChoosing } from "./choosing.js";
import { decide, undo } from "./decisions.js";
import { showTag } from "./details.js";
import { $ } from "./dom.js";
import { openExport } from "./exporting.js";
import { openGrid, startGrid } from "./grid.js";
import { t, whole } from "./i18n.js";
import { finish, neighbour, openImage, suggest } from "./images.js";
import { NOT_SIGNED_IN, may, signInAgain, signOut } from "./person.js";
import { refreshQueue, renderQueue } from "./queue.js";
import { startSearch } from "./search.js";
import { notice, say } from "./stage.js";
import { facets, remember, remembered, state, usePreferences, verdictOf, who } from "./state.js";
import { FacetTree } from "./tree.js";
import { focusPicture, larger, smaller, startZoom, wholePicture } from "./zoom.js";

// The tag in a tree that has the focus.
function focusedTag() {
  const key = document.activeElement?.closest("[role=treeitem]")?.dataset.key;
  return Object.values(state.trees).map((tree) => tree.nodes.get(key)).find(Boolean);
}

const singleKeys = () => $("single-keys").checked;

const KEYS = {
  u: undo,
  d: () => $("done").click(),
  n: () => neighbour(1),
  p: () => neighbour(-1),
  g: () => openGrid(focusedTag()),
  z: focusPicture,
  "+": larger,
  "-": smaller,
  0: wholePicture,
  "/": () => $("search").focus(),
  q: chooseQueue,
  "?": () => $("dialog-shortcuts").showModal(),
};

state.acts = {
  accept: (node) => decide(node, "accept"),
  reject: (node) => decide(node, "reject"),
  about: (node) => showTag(node, state.acts, verdictOf(node.tag_id)),
  open: openImage,
  many: openGrid,
  add: () => $("dialog-add").showModal(),
  export: openExport,
  show: showQueue,
  singleKeys,
  isGlobal: (key) => key in KEYS,
  clicked: () => { state.clicks += 1; },
};

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input, select, textarea") || !singleKeys()) return;
  const run = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  if (!run || (!state.image && !["?", "q"].includes(event.key))) return;
  event.preventDefault();
  state.acts.clicked();
  run();
}

function listen(search) {
  const on = (id, kind, run) => $(id).addEventListener(kind, run);
  on("undo", "click", undo);
  on("done", "click", () => finish(state.image.state === "done" ? "reopen" : "done"));
  on("skip-image", "click", () => finish("skip"));
  on("previous", "click", () => neighbour(-1));
  on("next", "click", () => neighbour(1));
  on("language", "change", () => changeLanguage($("language").value, search));
  on("model", "change", () => { remember("model", $("model").value); if (state.image) suggest(); });
  on("who", "change", () => remember("who", $("who").value.trim()));
  on("sign-out", "click", signOut);
  on("export", "click", openExport);
  on("shortcuts", "click", () => $("dialog-shortcuts").showModal());
  on("single-keys", "change", () => remember("single_keys", singleKeys() ? "on" : "off"));
  on("theme", "click", switchTheme);
  on("skip", "click", (event) => { event.preventDefault(); $("facets").focus(); }); // the address holds the place in the queue
  addEventListener("pointerdown", state.acts.clicked, { capture: true });
  addEventListener("keydown", onKey);
  addEventListener("unhandledrejection", tellRefusal);
  addEventListener("hashchange", async () => {
    const { image, queue } = placeInAddress();
    const known = !image || state.queue.some((each) => each.image_id === image);
    if (!known || JSON.stringify(queue) !== JSON.stringify(state.chosen)) await showQueue(queue, image);
    else if (image && image !== state.image?.image_id) openImage(image);
  });
}

// What the server refuses outside of a decision, such as a queue after the token has expired.
function tellRefusal(event) {
  const error = event.reason;
  if (!(error instanceof ApiError)) return;
  event.preventDefault();
  notice(reasonOf(error), NOT_SIGNED_IN.includes(error.code) ? [[t("sign_in_again"), signInAgain, "stay"]] : []);
}

// Opens a queue: at the image, otherwise at the first one that is to do.
async function showQueue(chosen, image) {
  state.chosen = chosen;
  await refreshQueue(image);
  learnGroups();
  const wanted = chosen.state === "skipped" ? "skipped" : "open";
  const first = state.queue.find((each) => each.image_id === image) ?? state.queue.find((each) => each.state === wanted) ?? state.queue[0];
  if (image ?? first) await openImage(image ?? first.image_id).catch(() => first && openImage(first.image_id));
  else {
    state.image = null;
    renderQueue();
    placeToAddress();
    if (Object.keys(chosen).length) say(t("no_queue"));
  }
}

// A hit with the branch to it.
const nodesOf = (hit) => Object.fromEntries([...hit.above, hit].map((node) => [node.tag_id, node]));

async function start() {
  [state.about] = await Promise.all([api.about(), usePreferences()]);
  offerLanguages();
  $("who").value = remembered("who");
  $("status-link").hidden = !may("admin");
  $("single-keys").checked = remembered("single_keys", "on") === "on";
  $("from-dataset").hidden = !state.about.dataset;
  $("from-remote").hidden = !state.about.fetches;
  const search = startSearch({
    say,
    goTo: (hit) => state.trees[hit.facet].goTo(hit.tag_id, nodesOf(hit)),
    accept: (hit) => { state.trees[hit.facet].learn(nodesOf(hit)); decide(hit, "accept"); },
  });
  for (const [index, facet] of facets().entries()) {
    if (index < 9) KEYS[index + 1] = () => state.trees[facet].focus();
    state.trees[facet] = new FacetTree(facet, state.about.facets[facet], state.acts, verdictOf);
    $("trees").append(state.trees[facet].section);
  }
  startAdding({ who, say, added });
  startZoom();
  startGrid();
  listen(search);
  startChoosing(showQueue);
  const { image, queue } = placeInAddress();
  translate(search);
  await showQueue(queue, image);
  document.body.dataset.ready = "true";
}

async function added(images) {
  await refreshQueue(state.image?.image_id);
  learnGroups();
  say(t("added", { n: whole(images.length) }));
  if (!state.image || state.image.state !== "open") openImage(images[0].image_id);
}

start();

// The desk in the browser: one image at a time, four trees beside it, every step saved before it is shown as done.
import { startAdding } from "./adding.js";
import { api } from "./api.js";
import { changeLanguage, offerLanguages, switchTheme, translate } from "./appearance.js";
import { decide, undo } from "./decisions.js";
import { showTag } from "./details.js";
import { $ } from "./dom.js";
import { openExport } from "./exporting.js";
import { LANGUAGES, t, useLanguage, whole } from "./i18n.js";
import { finish, neighbour, openImage, suggest } from "./images.js";
import { refreshQueue } from "./queue.js";
import { startSearch } from "./search.js";
import { say } from "./stage.js";
import { FACETS, desk, remember, remembered, standOf, who } from "./state.js";
import { FacetTree } from "./tree.js";

const singleKeys = () => $("single-keys").checked;

const KEYS = {
  u: undo,
  d: () => $("done").click(),
  n: () => neighbour(1),
  p: () => neighbour(-1),
  "/": () => $("search").focus(),
  "?": () => $("dialog-shortcuts").showModal(),
  ...Object.fromEntries(FACETS.map((facet, place) => [String(place + 1), () => desk.trees[facet].focus()])),
};

desk.acts = {
  accept: (node) => decide(node, "accept"),
  reject: (node) => decide(node, "reject"),
  about: (node) => showTag(node, desk.acts, standOf(node.tag_id)),
  open: openImage,
  add: () => $("dialog-add").showModal(),
  export: openExport,
  singleKeys,
  isGlobal: (key) => key in KEYS,
  clicked: () => { desk.clicks += 1; },
};

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input, select, textarea") || !singleKeys()) return;
  const run = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  if (!run || (!desk.image && event.key !== "?")) return;
  event.preventDefault();
  desk.acts.clicked();
  run();
}

function listen(search) {
  const on = (id, kind, run) => $(id).addEventListener(kind, run);
  on("undo", "click", undo);
  on("done", "click", () => finish(desk.image.state === "open" ? "done" : "reopen"));
  on("skip-image", "click", () => finish("skip"));
  on("previous", "click", () => neighbour(-1));
  on("next", "click", () => neighbour(1));
  on("language", "change", () => changeLanguage($("language").value, search));
  on("model", "change", () => { remember("model", $("model").value); if (desk.image) suggest(); });
  on("who", "change", () => remember("who", $("who").value.trim()));
  on("export", "click", openExport);
  on("shortcuts", "click", () => $("dialog-shortcuts").showModal());
  on("single-keys", "change", () => remember("single_keys", singleKeys() ? "on" : "off"));
  on("theme", "click", switchTheme);
  addEventListener("pointerdown", desk.acts.clicked, { capture: true });
  addEventListener("keydown", onKey);
  addEventListener("hashchange", () => { const id = imageInAddress(); if (id && id !== desk.image?.image_id) openImage(id); });
}

const imageInAddress = () => /^#image=([0-9a-f]{64})$/.exec(location.hash)?.[1];

// A hit with the branch to it.
const nodesOf = (hit) => Object.fromEntries([...hit.above, hit].map((node) => [node.tag_id, node]));

async function start() {
  if (remembered("theme")) document.documentElement.dataset.theme = remembered("theme");
  const wished = remembered("language") || navigator.languages.map((each) => each.slice(0, 2)).find((each) => LANGUAGES.includes(each)) || "en";
  [desk.about] = await Promise.all([api.about(), useLanguage(wished)]);
  offerLanguages();
  $("who").value = remembered("who");
  $("single-keys").checked = remembered("single_keys", "on") === "on";
  $("from-dataset").hidden = !desk.about.dataset;
  $("from-elsewhere").hidden = !desk.about.fetches;
  const search = startSearch({
    say,
    goTo: (hit) => desk.trees[hit.facet].goTo(hit.tag_id, nodesOf(hit)),
    accept: (hit) => { desk.trees[hit.facet].learn(nodesOf(hit)); decide(hit, "accept"); },
  });
  for (const facet of FACETS) {
    desk.trees[facet] = new FacetTree(facet, desk.about.facets[facet], desk.acts, standOf);
    $("trees").append(desk.trees[facet].section);
  }
  startAdding({ who, say, added });
  listen(search);
  await refreshQueue();
  translate(search);
  const asked = imageInAddress();
  const first = desk.queue.find((each) => each.image_id === asked) ?? desk.queue.find((each) => each.state === "open") ?? desk.queue[0];
  if (asked || first) await openImage(asked ?? first.image_id).catch(() => first && openImage(first.image_id));
  document.body.dataset.ready = "true";
}

async function added(images) {
  await refreshQueue();
  say(t("added", { n: whole(images.length) }));
  if (!desk.image || desk.image.state !== "open") openImage(images[0].image_id);
}

start();

// The desk in the browser: one image at a time, four trees beside it, every step saved before it is shown as done.
import { startAdding, reasonOf } from "./adding.js";
import { api } from "./api.js";
import { showTag } from "./details.js";
import { $, h } from "./dom.js";
import { LANGUAGES, currentLanguage, labelOf, nameOfLanguage, t, translatePage, useLanguage, whole } from "./i18n.js";
import { startSearch } from "./search.js";
import { FacetTree } from "./tree.js";

const FACETS = ["object_types", "materials", "classifications", "subjects"];
const FORMATS = ["csv", "edm", "webannotation", "lido"];
const QUEUE_PAGE = 200;
const stored = (key, otherwise = "") => localStorage.getItem(`eufcc.${key}`) ?? otherwise;
const store = (key, value) => localStorage.setItem(`eufcc.${key}`, value);

let about = null;
let queue = [];
let progress = { open: 0, done: 0, skipped: 0, all: 0 };
let image = null; // the image on the desk
let annotation = null;
let showing = null; // what was suggested, with the id the store knows it by
let openedAt = null;
let clicks = 0;
let opening = 0;
let saving = Promise.resolve();
const trees = {};
let search = null;

const say = (text) => { $("live").textContent = ""; requestAnimationFrame(() => { $("live").textContent = text; }); };
const who = () => $("who").value.trim() || t("anonymous");
const standOf = (tag) => annotation?.accepted.includes(tag) ? "accepted" : annotation?.rejected.includes(tag) ? "rejected" : annotation?.implied.includes(tag) ? "implied" : undefined;
const singleKeys = () => $("single-keys").checked;
const isGlobal = (key) => ["u", "d", "n", "p", "/", "?", "1", "2", "3", "4"].includes(key);

// --- decisions: one after the other, each with the version it saw

const stepBody = () => ({ who: who(), version: annotation.version, key: crypto.randomUUID(), opened_at: openedAt, clicks, showing_id: showing?.showing_id ?? null });

function step(send, saidWhenDone) {
  const on = image.image_id;
  saving = saving.then(async () => {
    if (image?.image_id !== on) return;
    $("saved").textContent = t("saving");
    const body = stepBody();
    await attempt(() => send(on, body), saidWhenDone, () => step(send, saidWhenDone));
  });
  return saving;
}

async function attempt(request, saidWhenDone, restart) {
  try {
    const answer = await request();
    clicks = 0;
    takeAnnotation(answer.annotation);
    if (answer.progress) takeProgress(answer.progress);
    $("saved").textContent = t("saved");
    say(saidWhenDone(answer.annotation));
    return true;
  } catch (error) {
    $("saved").textContent = "";
    if (error.code === "conflict") {
      takeAnnotation(error.body.annotation);
      notice(conflictText(error.body), [[t("do_it_anyway"), restart]]);
    } else if (error.code === "unreachable" || error.status === 429) {
      notice(reasonOf(error), [[t("try_again"), () => attempt(request, saidWhenDone, restart)]]); // the same key: it counts once
    } else if (error.code !== "nothing_to_undo") {
      notice(reasonOf(error), []);
    }
    return false;
  }
}

function conflictText(body) {
  const nodes = body.annotation.nodes;
  const nameOf = (tag) => { const node = nodes[tag] ?? Object.values(trees).map((tree) => tree.nodes.get(tag)).find(Boolean); return node ? labelOf(node).text : `aat:${tag}`; };
  const what = body.since.map((line) => line.changes.length ? t(`change.${line.changes[0].action}`, { tag: nameOf(line.changes[0].tag_id) }) : t(`change.${line.kind}`));
  return t("conflict", { who: [...new Set(body.since.map((line) => line.who))].join(", "), what: what.join("; ") });
}

function takeAnnotation(next) {
  const before = annotation;
  annotation = next;
  for (const tree of Object.values(trees)) {
    tree.learn(next.nodes);
    for (const tag of [...next.accepted, ...next.rejected]) if (tree.nodes.has(tag)) tree.reveal(tag);
    tree.render();
  }
  const entry = queue.find((each) => each.image_id === next.image_id);
  if (entry && entry.state !== next.state) { entry.state = next.state; renderQueue(); }
  image.state = next.state;
  renderChosen();
  renderActs();
  return before;
}

function said(word, node) {
  const before = [...annotation.accepted];
  return (after) => {
    const fell = before.filter((tag) => tag !== node.tag_id && !after.accepted.includes(tag)).map((tag) => labelOf(annotation.nodes[tag] ?? trees[node.facet].nodes.get(tag)).text);
    const text = t(`said.${word}`, { tag: labelOf(node).text });
    return fell.length ? `${text}; ${t("said.fell", { tags: fell.join(", ") })}` : text;
  };
}

function decide(node, wanted) {
  const stands = standOf(node.tag_id);
  const action = (wanted === "accept" && stands === "accepted") || (wanted === "reject" && stands === "rejected") ? "withdraw" : wanted;
  trees[node.facet].learn({ [node.tag_id]: node });
  return step((id, body) => api.decide(id, { ...body, tag_id: node.tag_id, action }), said(action, node));
}

const acts = {
  accept: (node) => decide(node, "accept"),
  reject: (node) => decide(node, "reject"),
  about: (node) => showTag(node, acts, standOf(node.tag_id)),
  singleKeys,
  isGlobal,
  clicked: () => { clicks += 1; },
};

const undo = () => annotation?.can_undo && step((id, body) => api.undo(id, body), () => t("said.undo"));

async function finish(kind) {
  const on = image.image_id;
  await step((id, body) => api.move(id, { ...body, kind }), () => t("saved"));
  if (image?.image_id === on && kind !== "reopen" && annotation.state !== "open") nextOpen();
}

// --- images

async function openImage(id, focus = false) {
  const turn = ++opening;
  $("trees").setAttribute("aria-busy", "true");
  await saving;
  const [{ image: next, annotation: stands }] = await Promise.all([api.image(id)]);
  if (turn !== opening) return;
  image = next;
  annotation = stands;
  showing = null;
  openedAt = new Date().toISOString();
  clicks = 0;
  history.replaceState(null, "", `#image=${id}`);
  $("saved").textContent = "";
  $("notices").replaceChildren();
  renderStage();
  renderQueue();
  for (const tree of Object.values(trees)) tree.show(null, {});
  takeAnnotation(stands);
  await suggest(turn);
  if (focus) trees[FACETS[0]].focus();
}

async function suggest(turn = opening) {
  note(image.blind ? t("blind") : about.default_model ? "" : t("no_suggestions"));
  if (!image.blind && about.default_model) {
    const slow = setTimeout(() => note(t("suggesting")), 400); // the first picture waits until the model is loaded
    try {
      const answer = await api.suggestions(image.image_id, $("model").value);
      if (turn !== opening) return;
      showing = answer;
      for (const [facet, tree] of Object.entries(trees)) tree.show(answer.facets[facet], answer.nodes);
      note("");
    } catch (error) {
      note(reasonOf(error));
    } finally {
      clearTimeout(slow);
    }
  }
  takeAnnotation(annotation);
  $("trees").removeAttribute("aria-busy");
}

function nextOpen() {
  const at = queue.findIndex((each) => each.image_id === image?.image_id);
  const order = [...queue.slice(at + 1), ...queue.slice(0, at + 1)];
  const next = order.find((each) => each.state === "open" && each.image_id !== image?.image_id);
  if (next) return openImage(next.image_id);
  if (progress.open > 0) return api.firstOpen().then(({ images }) => images[0] && images[0].image_id !== image?.image_id && openImage(images[0].image_id));
  if (progress.all) notice(t("all_done"), [[t("export"), openExport], [t("add_images"), () => $("dialog-add").showModal()]], "status");
}

function neighbour(by) {
  const at = queue.findIndex((each) => each.image_id === image?.image_id);
  const next = queue[at + by];
  if (next) openImage(next.image_id);
}

// --- what is seen

function note(text) {
  $("model-note").hidden = !text;
  $("model-note").textContent = text;
}

function notice(text, choices) {
  const box = h("div", {}, h("p", {}, text));
  for (const [label, run] of [...choices, [t("dismiss"), () => {}]]) {
    box.append(h("button", { type: "button", onclick: () => { box.remove(); run(); } }, label));
  }
  $("notices").replaceChildren(box);
}

function renderStage() {
  const title = image.title || t("untitled");
  const picture = $("picture");
  picture.src = `/api/images/${image.image_id}/picture`;
  picture.alt = t("picture_of", { title });
  picture.classList.toggle("tiny", image.width < 330);
  $("picture-title").textContent = title;
  $("picture-note").textContent = [image.attribution, image.title === image.record_id ? "" : image.record_id, `${whole(image.width)} × ${whole(image.height)} px`].filter(Boolean).join(" · ");
}

function renderActs() {
  const at = queue.findIndex((each) => each.image_id === image?.image_id);
  $("previous").disabled = at <= 0;
  $("next").disabled = at < 0 || at >= queue.length - 1;
  $("undo").disabled = !annotation?.can_undo;
  $("done").textContent = image?.state === "open" ? t("done") : t("reopen");
  $("skip-image").hidden = image?.state !== "open";
}

function renderChosen() {
  const nodeOf = (tag) => annotation.nodes[tag];
  const parts = FACETS.map((facet) => {
    const tags = annotation.accepted.filter((tag) => nodeOf(tag)?.facet === facet);
    return tags.length ? h("div", {}, h("h4", {}, t(`facet.${facet}`)), tags.map((tag) => chip(nodeOf(tag)))) : null;
  }).filter(Boolean);
  if (!parts.length) parts.push(h("p", { class: "quiet" }, t("no_tags")));
  const rejected = annotation.rejected.map(nodeOf).filter(Boolean);
  const wasOpen = $("chosen").querySelector("details")?.open;
  if (rejected.length) parts.push(h("details", { open: wasOpen }, h("summary", {}, t("rejected_tags", { n: whole(rejected.length) })), rejected.map(chip)));
  $("chosen").replaceChildren(...parts);
}

function chip(node) {
  const label = labelOf(node);
  const above = [];
  for (let up = annotation.nodes[node.parent]; up; up = annotation.nodes[up.parent]) above.unshift(labelOf(up).text);
  const word = t("withdraw_tag", { tag: label.text });
  return h("div", { class: "chip" },
    h("span", { class: "text" },
      h("button", { type: "button", class: "go", lang: label.language, onclick: () => trees[node.facet].goTo(node.tag_id, annotation.nodes) }, label.text, label.fallback ? h("span", { class: "lang" }, label.fallback) : null),
      above.length ? h("span", { class: "path" }, above.join(" › ")) : null),
    h("button", { type: "button", "aria-label": word, title: word, onclick: () => decide(node, standOf(node.tag_id) === "rejected" ? "reject" : "accept") }, h("span", { "aria-hidden": "true" }, "×")));
}

function takeProgress(next) {
  progress = next;
  $("progress-text").textContent = t("progress", { done: whole(next.done), all: whole(next.all) });
  $("progress-bar").max = Math.max(1, next.all);
  $("progress-bar").value = next.done + next.skipped;
}

function renderQueue() {
  const list = $("queue");
  const items = queue.map((each) => {
    const state = t(`${each.state}_mark`);
    return h("li", {}, h("button", { type: "button", class: "thumb", "data-state": each.state, "aria-current": each.image_id === image?.image_id ? "true" : null,
      "aria-label": `${each.title || t("untitled")}, ${state}`, title: each.title || t("untitled"), onclick: () => openImage(each.image_id) },
      h("img", { src: `/api/images/${each.image_id}/thumbnail`, alt: "", loading: "lazy", width: 52, height: 52 }),
      each.state === "open" ? null : h("span", { class: "state", "aria-hidden": "true" }, each.state === "done" ? "✓" : "→")));
  });
  if (queue.length < progress.all) items.push(h("li", {}, h("button", { type: "button", onclick: moreQueue }, t("load_more"))));
  const had = list.contains(document.activeElement);
  list.replaceChildren(...items);
  const current = list.querySelector('[aria-current="true"]');
  current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (had) current?.focus({ preventScroll: true });
  $("work").hidden = !image;
  $("empty").hidden = Boolean(image) || queue.length > 0;
}

async function refreshQueue() {
  const answer = await api.queue(0, QUEUE_PAGE);
  queue = answer.images;
  takeProgress(answer.progress);
  renderQueue();
}

async function moreQueue() {
  const answer = await api.queue(queue.length, QUEUE_PAGE);
  queue = queue.concat(answer.images.filter((each) => !queue.some((known) => known.image_id === each.image_id)));
  takeProgress(answer.progress);
  renderQueue();
}

// --- language, colours, dialogs

async function changeLanguage(code) {
  await useLanguage(code);
  store("language", currentLanguage());
  translate();
}

function translate() {
  translatePage();
  search.translate();
  $("language").value = currentLanguage();
  $("language").title = t("coverage", { n: whole(about.labelled[currentLanguage()]), all: whole(about.tags), language: nameOfLanguage(currentLanguage()) });
  $("who").placeholder = t("anonymous");
  $("drop-hint").textContent = t("drop_hint", { mb: Math.floor(about.max_upload_bytes / 1e6) });
  renderTheme();
  renderKeys();
  renderModels();
  takeProgress(progress);
  renderQueue();
  if (image) {
    renderStage();
    renderChosen();
    renderActs();
    note(image.blind ? t("blind") : about.default_model ? "" : t("no_suggestions"));
  }
  for (const tree of Object.values(trees)) tree.render();
}

function renderModels() {
  const chosen = $("model").value || stored("model", about.default_model ?? "");
  $("model").replaceChildren(...about.models.map((model) => h("option", { value: model.key, title: [model.description, model.note].filter(Boolean).join(" · ") }, model.key.replaceAll("_", " ") + (model.note ? ` (${model.note})` : ""))));
  if (!about.models.length) $("model").append(h("option", { value: "" }, t("no_model")));
  $("model").value = about.models.some((model) => model.key === chosen) ? chosen : (about.default_model ?? "");
  $("model").disabled = about.models.length < 2;
}

const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function renderTheme() {
  const word = t(isDark() ? "theme_light" : "theme_dark");
  $("theme").replaceChildren(h("span", { "aria-hidden": "true" }, isDark() ? "☀" : "☾"));
  $("theme").setAttribute("aria-label", word);
  $("theme").title = word;
}

function renderKeys() {
  const rows = [
    [["↑", "↓", "←", "→"], t("key.move")], [["Home", "End"], t("key.ends")], [["*"], t("key.all")],
    [["a", t("key.space")], t("accept")], [["r", t("key.delete")], t("reject")], [["i"], t("about_tag")], [["u"], t("undo")],
    [["d"], t("done")], [["n", "p"], `${t("next")}, ${t("previous")}`], [["1", "2", "3", "4"], t("key.facets")], [["/"], t("key.search")], [["?"], t("shortcuts")],
  ];
  $("keys").replaceChildren(...rows.flatMap(([keys, meaning]) => [h("dt", {}, keys.flatMap((key, at) => [at ? " " : "", h("kbd", {}, key)])), h("dd", {}, meaning)]), h("dt", {}, h("kbd", {}, "…")), h("dd", {}, t("key.typeahead")));
}

function openExport() {
  const links = () => FORMATS.map((format) => {
    const query = new URLSearchParams({ format, lang: currentLanguage() });
    if (document.querySelector('[name="what"]:checked').value === "one" && image) query.set("image_id", image.image_id);
    if ($("export-machine").checked) query.set("machine", "true");
    return h("li", {}, h("a", { href: `/api/export?${query}`, download: "" }, t(`export.${format}`)));
  });
  $("formats").replaceChildren(...links());
  $("dialog-export").onchange = () => $("formats").replaceChildren(...links());
  $("dialog-export").showModal();
}

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input, select, textarea") || !singleKeys()) return;
  const run = {
    u: undo, d: () => image && $("done").click(), n: () => neighbour(1), p: () => neighbour(-1), "/": () => $("search").focus(), "?": () => $("dialog-shortcuts").showModal(),
    1: () => trees[FACETS[0]].focus(), 2: () => trees[FACETS[1]].focus(), 3: () => trees[FACETS[2]].focus(), 4: () => trees[FACETS[3]].focus(),
  }[event.key];
  if (!run || !image && event.key !== "?") return;
  event.preventDefault();
  clicks += 1;
  run();
}

function listen() {
  $("undo").addEventListener("click", undo);
  $("done").addEventListener("click", () => finish(image.state === "open" ? "done" : "reopen"));
  $("skip-image").addEventListener("click", () => finish("skip"));
  $("previous").addEventListener("click", () => neighbour(-1));
  $("next").addEventListener("click", () => neighbour(1));
  $("language").addEventListener("change", () => changeLanguage($("language").value));
  $("model").addEventListener("change", () => { store("model", $("model").value); if (image) suggest(); });
  $("who").addEventListener("change", () => store("who", $("who").value.trim()));
  $("export").addEventListener("click", openExport);
  $("shortcuts").addEventListener("click", () => $("dialog-shortcuts").showModal());
  $("single-keys").addEventListener("change", () => store("single_keys", $("single-keys").checked ? "on" : "off"));
  $("theme").addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; store("theme", document.documentElement.dataset.theme); renderTheme(); });
  addEventListener("pointerdown", () => { clicks += 1; }, { capture: true });
  addEventListener("keydown", onKey);
  addEventListener("hashchange", () => { const id = fromAddress(); if (id && id !== image?.image_id) openImage(id); });
}

const fromAddress = () => /^#image=([0-9a-f]{64})$/.exec(location.hash)?.[1];

async function start() {
  if (stored("theme")) document.documentElement.dataset.theme = stored("theme");
  const wished = stored("language") || navigator.languages.map((each) => each.slice(0, 2)).find((each) => LANGUAGES.includes(each)) || "en";
  [about] = await Promise.all([api.about(), useLanguage(wished)]);
  $("language").replaceChildren(...LANGUAGES.map((code) => h("option", { value: code, lang: code }, new Intl.DisplayNames([code], { type: "language" }).of(code))));
  $("who").value = stored("who");
  $("single-keys").checked = stored("single_keys", "on") === "on";
  $("from-dataset").hidden = !about.dataset;
  $("from-elsewhere").hidden = !about.fetches;
  search = startSearch({
    say,
    goTo: (hit) => trees[hit.facet].goTo(hit.tag_id, nodesOf(hit)),
    accept: (hit) => { trees[hit.facet].learn(nodesOf(hit)); decide(hit, "accept"); },
  });
  for (const facet of FACETS) {
    trees[facet] = new FacetTree(facet, about.facets[facet], acts, standOf);
    $("trees").append(trees[facet].section);
  }
  startAdding({ who, say, added: async (images) => { await refreshQueue(); say(t("added", { n: whole(images.length) })); if (!image || image.state !== "open") openImage(images[0].image_id); } });
  listen();
  await refreshQueue();
  translate();
  const asked = fromAddress();
  const first = queue.find((each) => each.image_id === asked) ?? queue.find((each) => each.state === "open") ?? queue[0];
  if (asked || first) await openImage(asked ?? first.image_id).catch(() => first && openImage(first.image_id));
  document.body.dataset.ready = "true";
}

// A hit with the branch to it.
function nodesOf(hit) {
  return Object.fromEntries([...hit.above, hit].map((node) => [node.tag_id, node]));
}

start();

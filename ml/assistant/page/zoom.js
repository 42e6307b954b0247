// The picture seen closely: OpenSeadragon, loaded when it is first used, over the picture that is shown at once.
import { reasonOf } from "./adding.js";
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { currentLanguage, t, whole } from "./i18n.js";
import { state } from "./state.js";

const SCRIPT = "/page/openseadragon/openseadragon.min.js";
const STEP = 1.5; // by which a key or a button enlarges
const PAN = 0.15; // of what is in view, by which an arrow key moves
const TURN = 90; // degrees
const LARGEST = 4; // screen pixels for a pixel of the picture
const FETCHING = /^(http_|dns_|connect|tls_|timeout|host_|too_many_redirects)/; // codes: another server did not send it
const LIGHT = { brightness: 100, contrast: 100 }; // percent

let script = null; // the promise of the library
let opened = null; // the promise of the viewer of the current image
let drawing = null; // that viewer
let viewer = null; // the same, once its picture is in view
let shown = null; // the id of the image that the frame shows
let view = null; // what the server says of the picture: its size, its tiles

function library() {
  script ??= new Promise((resolve, reject) => {
    // OpenSeadragon adds a style sheet, which our security policy refuses, unless it finds this; no browser reads it.
    const instead = document.createElementNS("", "style");
    instead.setAttribute("data-openseadragon-mobile-css", "true");
    document.head.append(instead);
    document.head.append(h("script", { src: SCRIPT, onload: () => resolve(globalThis.OpenSeadragon), onerror: () => { script = null; reject(new Error("unreachable")); } }));
  });
  return script;
}

// Shows an image of the queue; a picture that is shown already stays as it is seen.
export function showPicture(image) {
  if (shown === image.image_id) return;
  close();
  shown = image.image_id;
  setLight(LIGHT);
  renderZoom();
}

function close() {
  drawing?.destroy();
  opened = drawing = viewer = view = shown = null;
  $("viewer").replaceChildren();
  $("picture").classList.remove("behind");
  $("zoom-note").textContent = "";
}

// The viewer of the current image, opened when it is first needed; null if that did not work.
function open() {
  const id = shown;
  opened ??= start(id).catch(() => {
    if (id !== shown) return null;
    drawing?.destroy();
    opened = drawing = null;
    $("zoom-note").textContent = t("error.unreachable");
    return null;
  });
  return opened;
}

async function start(id) {
  $("zoom-note").textContent = t("zoom_loading");
  const OpenSeadragon = await library();
  if (id !== shown) return null;
  view = keptOf(state.image);
  const made = await draw(OpenSeadragon, id);
  if (made) sharpen(id, made);
  return made;
}

const keptOf = ({ width, height }) => ({ source: "picture", width, height, problem: null, host: null });

// The kept picture in the viewer, at once.
async function draw(OpenSeadragon, id) {
  drawing?.destroy();
  const made = drawing = OpenSeadragon({
    element: $("viewer"), tileSources: { type: "image", url: `/api/images/${id}/picture`, buildPyramid: false }, drawer: "canvas", tabIndex: -1,
    showNavigationControl: false, imageLoaderLimit: 4, tileRetryMax: 0,
    animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.4,
    minZoomImageRatio: 1, maxZoomPixelRatio: Math.max(LARGEST, fitting()), visibilityRatio: 0.6,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  });
  made.innerTracker.keyDownHandler = null; // the keys are those of `onKey`
  made.addHandler("tile-load-failed", ({ tile, tiledImage }) => refused(id, tiledImage, tile.getUrl()));
  made.addHandler("update-viewport", renderZoom);
  // Where nothing can become smaller, the wheel scrolls the page.
  made.addHandler("canvas-scroll", (event) => {
    if (event.scroll < 0 && made.viewport.getZoom() <= made.viewport.getMinZoom() * 1.001) Object.assign(event, { preventDefaultAction: true, preventDefault: false });
  });
  await new Promise((resolve, reject) => { made.addOnceHandler("tile-drawn", resolve); made.addOnceHandler("open-failed", reject); });
  if (made !== drawing) return null;
  viewer = made;
  $("picture").classList.add("behind");
  renderZoom();
  return made;
}

// A small picture fills the frame although its pixels become larger than usual.
const fitting = () => Math.max($("frame").clientWidth / view.width, $("frame").clientHeight / view.height);

// Lays the tiles of the largest picture over the kept one, which stays where it is seen. Another server may take long.
async function sharpen(id, made) {
  const described = await api.zoom(id).catch((error) => ({ ...view, problem: { error: error.code, message: error.message } }));
  if (made !== viewer) return;
  view = described;
  if (view.source !== "picture") await new Promise((resolve) => made.addTiledImage({ tileSource: tilesOf(id), success: resolve, error: resolve }));
  if (made === viewer) renderZoom();
}

function tilesOf(id) {
  const { width, height, tile_side: tileSize, factors } = view;
  const top = factors.length - 1;
  return { width, height, tileSize, minLevel: 0, maxLevel: top, getTileUrl: (level, column, row) => `/api/images/${id}/tiles/${factors[top - level]}/${column}/${row}` };
}

// The first tile that cannot be had: the reason is told, and the tiles are taken away from the kept picture.
async function refused(id, tiles, address) {
  if (id !== shown || view.source === "picture") return;
  view = keptOf(state.image);
  viewer.world.removeItem(tiles);
  const answer = await fetch(address, { headers: { "x-assistant": "1" } }).catch(() => null);
  if (id !== shown) return;
  view.problem = (answer && !answer.ok && (await answer.json().catch(() => null))) || { error: "unreachable", message: "" };
  renderZoom();
}

// The picture with the most pixels in the viewer.
const sharpest = () => viewer?.world.getItemAt(viewer.world.getItemCount() - 1);

// The places that are read aloud are written only when they change: a movement draws many times.
function write(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function renderNote() {
  const size = `${whole(view.width)} × ${whole(view.height)} px`;
  const same = view.width === state.image.width && view.height === state.image.height;
  const from = view.host ? t("zoom_from", { size, host: view.host }) : t("zoom_size", { size });
  const problem = view.problem && t("zoom_problem", { reason: FETCHING.test(view.problem.error) ? t("error.other_server") : reasonOf({ code: view.problem.error, message: view.problem.message }) });
  write("zoom-note", [problem, same && !problem ? "" : from].filter(Boolean).join(" "));
}

// The scale of the picture, and which buttons can do something.
export function renderZoom() {
  const port = viewer?.viewport;
  const scale = port && sharpest()?.viewportToImageZoom(port.getZoom());
  write("zoom-level", scale ? new Intl.NumberFormat(currentLanguage(), { style: "percent" }).format(scale) : "");
  $("full").setAttribute("aria-pressed", String($("figure").classList.contains("full")));
  if (view?.factors || view?.problem) renderNote(); // the server has answered
}

async function act(run) {
  const found = viewer ?? (await open());
  if (!found) return;
  run(found.viewport);
  found.viewport.applyConstraints();
}

const zoomBy = (by, at) => act((port) => port.zoomBy(by, at && port.pointFromPixel(new globalThis.OpenSeadragon.Point(at.x, at.y))));
const turnBy = (degrees) => act((port) => port.setRotation(port.getRotation() + degrees));
const panBy = (x, y) => act((port) => {
  const bounds = port.getBounds();
  port.panBy(new globalThis.OpenSeadragon.Point(bounds.width * x * PAN, bounds.height * y * PAN));
});
export const larger = () => zoomBy(STEP);
export const smaller = () => zoomBy(1 / STEP);

export function wholePicture() {
  if (viewer) act((port) => { port.setRotation(0); port.goHome(); });
}

export function focusPicture() {
  $("frame").focus();
  open();
}

function setLight(values) {
  for (const [name, value] of Object.entries(values)) {
    $(name).value = value;
    $("frame").style.setProperty(`--${name}`, value / 100);
  }
}

const LIGHTS = ["brightness", "contrast"];

function toggleLight(on = $("light-panel").hidden) {
  $("light-panel").hidden = !on;
  $("light").setAttribute("aria-expanded", String(on));
  if (on) $("brightness").focus();
}

// The whole window: as the browser's full screen where it offers that. What is behind cannot be reached.
async function toggleFull(on = !$("figure").classList.contains("full")) {
  $("figure").classList.toggle("full", on);
  for (const each of [$("facets"), ...document.querySelectorAll(".top, .queue, .stage > :not(#figure), .skip, #notices")]) each.inert = on;
  if (on) await $("figure").requestFullscreen?.().catch(() => {}); // refused: the figure fills the window all the same
  else if (document.fullscreenElement) await document.exitFullscreen();
  renderZoom();
  if (on) { $("frame").focus(); open(); } else $("full").focus();
}

const KEYS = {
  "+": larger, "=": larger, "-": smaller, 0: wholePicture,
  ArrowLeft: () => panBy(-1, 0), ArrowRight: () => panBy(1, 0), ArrowUp: () => panBy(0, -1), ArrowDown: () => panBy(0, 1),
  r: () => turnBy(TURN), R: () => turnBy(-TURN), l: () => toggleLight(), f: () => toggleFull(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && $("figure").classList.contains("full")) return void toggleFull(false);
  if (!Object.hasOwn(KEYS, event.key) || event.target !== $("frame")) return;
  event.preventDefault();
  event.stopPropagation();
  state.acts.clicked();
  KEYS[event.key]();
}

// The first wheel turn or double click opens the viewer, which takes the next ones itself.
function onPointer(event) {
  if (viewer || event.deltaY > 0) return;
  event.preventDefault();
  const box = $("viewer").getBoundingClientRect();
  const at = { x: event.clientX - box.left, y: event.clientY - box.top };
  zoomBy(STEP, at);
}

export function startZoom() {
  const on = (id, kind, run, options) => $(id).addEventListener(kind, run, options);
  on("larger", "click", larger);
  on("smaller", "click", smaller);
  on("whole", "click", wholePicture);
  on("turn", "click", () => turnBy(TURN));
  on("full", "click", () => toggleFull());
  on("light", "click", () => toggleLight());
  on("light-reset", "click", () => setLight(LIGHT));
  for (const name of LIGHTS) on(name, "input", () => setLight({ [name]: $(name).value }));
  on("light-panel", "keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); toggleLight(false); $("light").focus(); } });
  on("figure", "keydown", onKey);
  on("frame", "wheel", onPointer, { passive: false });
  on("frame", "dblclick", onPointer);
  on("frame", "touchstart", (event) => { if (event.touches.length > 1 && !viewer) { event.preventDefault(); zoomBy(STEP); } }, { passive: false });
  document.addEventListener("fullscreenchange", () => { if (!document.fullscreenElement && $("figure").classList.contains("full")) toggleFull(false); });
}

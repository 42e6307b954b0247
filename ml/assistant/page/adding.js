// Adds images to the queue: files (chosen, dropped or pasted), images of the dataset, or images of another server.
import { api, newKey } from "./api.js";
import { $, h } from "./dom.js";
import { has, t, whole } from "./i18n.js";

const NO_ANSWER = ["unreachable", "store_away"];
const DAMAGED = ["broken_header", "truncated", "decode_failed", "decoder_died", "empty"];
const UNSUPPORTED = ["svg", "html", "xml", "json", "pdf", "archive", "unsupported_format", "not_an_image", "polyglot"];
const LARGE = ["too_many_pixels", "too_long", "too_much_memory", "decode_timeout"];

export function reasonOf(error) {
  if (NO_ANSWER.includes(error.code)) return t("error.unreachable");
  if (DAMAGED.includes(error.code)) return t("error.damaged");
  if (UNSUPPORTED.includes(error.code)) return t("error.unsupported");
  if (LARGE.includes(error.code)) return t("error.too_many_pixels");
  if (has(`error.${error.code}`)) return t(`error.${error.code}`);
  return t("error.other", { message: error.message });
}

// The same, of a step that was to be saved.
export const notSaved = (error) => (NO_ANSWER.includes(error.code) ? t("not_saved") : reasonOf(error));

// `acts`: who(), added(images), say(text)
export function startAdding(acts) {
  const state = (text) => { $("add-state").textContent = text; };
  const problem = (title, error) => $("add-problems").append(h("li", {}, t("not_added", { title, reason: reasonOf(error) })));

  async function send(files) {
    if (!files.length) return;
    const dialog = $("dialog-add");
    const batch = newKey();
    const waiting = [...files];
    const images = [];
    let sent = 0;
    $("add-problems").replaceChildren();
    if (files.length > 1 && !dialog.open) dialog.showModal();
    for (const file of waiting) { // one after the other: the queue keeps the order of the files
      state(t("uploading", { n: ++sent, all: waiting.length }));
      const title = (file.name || "").replace(/[\x00-\x1f\x7f-\x9f]/g, " ").slice(0, 300);
      try {
        images.push((await api.upload(file, title, acts.who(), batch)).image);
      } catch (error) {
        problem(title || t("untitled"), error);
      }
    }
    state(t("added", { n: whole(images.length) }));
    if (images.length) acts.added(images);
    if ($("add-problems").children.length) { if (!dialog.open) dialog.showModal(); }
    else dialog.close();
  }

  // Of many images at an address, where the next request goes on; null if there are no more.
  function continueFrom(start) {
    $("add-next").hidden = start === null;
    $("add-next").dataset.start = start ?? 0;
  }

  async function from(request, title) {
    $("add-problems").replaceChildren();
    state("…");
    try {
      const { images, problems = [], left = 0, next = null } = await request();
      state(left ? t("left", { added: whole(images.length), left: whole(left) }) : t("added", { n: whole(images.length) }));
      continueFrom(next);
      for (const { url, error } of problems) problem(url, { code: error, message: error.replaceAll("_", " ") });
      if (images.length) acts.added(images);
      if (images.length && !problems.length && !left) $("dialog-add").close();
    } catch (error) {
      state("");
      problem(title, error);
    }
  }

  $("choose").addEventListener("click", () => $("files").click());
  $("files").addEventListener("change", async () => { await send($("files").files); $("files").value = ""; });
  $("add-dataset").addEventListener("click", () => from(() => api.addDataset({ split: $("split").value, count: Number($("count").value) || 1, who: acts.who() }), $("split").value));
  const addAddress = (start) => {
    const address = $("address").value.trim();
    return from(() => api.addAddress({ address, who: acts.who(), start }), address.split("\n")[0]);
  };
  $("add-address").addEventListener("click", () => addAddress(0));
  $("add-next").addEventListener("click", () => addAddress(Number($("add-next").dataset.start)));
  $("address").addEventListener("input", () => continueFrom(null));
  for (const button of document.querySelectorAll('[data-opens="add"]')) {
    button.addEventListener("click", () => { state(""); $("add-problems").replaceChildren(); $("dialog-add").showModal(); });
  }

  let depth = 0;
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth += 1; $("drop").hidden = false; } });
  addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) $("drop").hidden = true; });
  addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    $("drop").hidden = true;
    send(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => { if (event.clipboardData?.files.length) { event.preventDefault(); send(event.clipboardData.files); } });
}

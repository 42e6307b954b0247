// Beside the trees: the picture, its tags, and messages.
import { $, h } from "./dom.js";
import { labelOf, t, whole } from "./i18n.js";
import { facetLabel, facets, placeInQueue, state, verdictOf } from "./state.js";
import { renderZoom, showPicture } from "./zoom.js";

// For screen readers. Clearing the text first makes them read the same text twice.
export function say(text) {
  $("live").textContent = "";
  requestAnimationFrame(() => { $("live").textContent = text; });
}

export function note(text) {
  $("model-note").hidden = !text;
  $("model-note").textContent = text;
}

// `choices`: a label and a function each, and "stay" where the message is still needed afterwards
export function notice(text, choices) {
  const box = h("div", {}, h("p", {}, text));
  for (const [label, run, stay] of [...choices, [t("dismiss"), () => {}]]) {
    box.append(h("button", { type: "button", onclick: () => { if (!stay) box.remove(); run(); } }, label));
  }
  $("notices").replaceChildren(box);
}

export function renderStage() {
  const { image } = state;
  const title = image.title || t("untitled");
  const picture = $("picture");
  picture.src = `/api/images/${image.image_id}/picture`;
  showPicture(image);
  renderZoom();
  picture.alt = t("picture_of", { title });
  picture.classList.toggle("tiny", image.width < 330);
  $("picture-title").textContent = title;
  const record = image.title === image.record_id ? "" : image.record_id;
  $("picture-note").textContent = [image.second_of ? t("second_note") : "", image.attribution, record, `${whole(image.width)} × ${whole(image.height)} px`].filter(Boolean).join(" · ");
}

export function renderActs() {
  const at = placeInQueue();
  $("previous").disabled = at <= 0;
  $("next").disabled = at < 0 || at >= state.queue.length - 1;
  $("undo").disabled = !state.annotation?.can_undo;
  $("done").textContent = state.image?.state === "done" ? t("reopen") : t("done");
  $("skip-image").hidden = state.image?.state !== "open";
}

export function renderChosen() {
  const { accepted, rejected, nodes } = state.annotation;
  const parts = facets().map((facet) => {
    const tags = accepted.filter((tag) => nodes[tag]?.facet === facet);
    return tags.length ? h("div", {}, h("h4", {}, facetLabel(facet)), tags.map((tag) => chip(nodes[tag]))) : null;
  }).filter(Boolean);
  if (!parts.length) parts.push(h("p", { class: "quiet" }, t("no_tags")));
  const wrong = rejected.map((tag) => nodes[tag]).filter(Boolean);
  const wasOpen = $("chosen").querySelector("details")?.open;
  if (wrong.length) parts.push(h("details", { open: wasOpen }, h("summary", {}, t("rejected_tags", { n: whole(wrong.length) })), wrong.map(chip)));
  $("chosen").replaceChildren(...parts);
}

function chip(node) {
  const { nodes } = state.annotation;
  const label = labelOf(node);
  const above = [];
  for (let up = nodes[node.parent]; up; up = nodes[up.parent]) above.unshift(labelOf(up).text);
  const word = t("withdraw_tag", { tag: label.text });
  const withdraw = () => state.acts[verdictOf(node.tag_id) === "rejected" ? "reject" : "accept"](node);
  return h("div", { class: "chip" },
    h("span", { class: "text" },
      h("button", { type: "button", class: "go", lang: label.language, onclick: () => state.trees[node.facet].goTo(node.tag_id, nodes) }, label.text, label.fallback ? h("span", { class: "lang" }, label.fallback) : null),
      above.length ? h("span", { class: "path" }, above.join(" › ")) : null),
    h("button", { type: "button", "aria-label": word, title: word, onclick: withdraw }, h("span", { "aria-hidden": "true" }, "×")));
}

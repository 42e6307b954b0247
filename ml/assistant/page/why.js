// Why a tag may fit: its place in the hierarchy, and the pictures that carry it and look most like the current one.
import { reasonOf } from "./adding.js";
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { labelOf, t, whole } from "./i18n.js";
import { facetLabel, state } from "./state.js";

const NARROWER = 6; // tags below that are shown

const named = (step, attributes = {}) => { const label = labelOf(step); return h("span", { lang: label.language, ...attributes }, label.text); };

// The facet, the tags above, the tag, and the first tags below it, each on a line of its own.
export function hierarchyOf(tag) {
  const lines = [h("li", { vars: { "--depth": 0 } }, facetLabel(tag.facet))];
  tag.path.forEach((step, at) => lines.push(h("li", { vars: { "--depth": at + 1 } }, at === tag.path.length - 1 ? h("strong", {}, named(step)) : named(step))));
  const list = h("ul", { class: "hierarchy" }, lines);
  const also = tag.other_parents.length ? h("p", { class: "quiet small" }, t("also_under", { tags: tag.other_parents.map((each) => labelOf(each).text).join(", ") })) : "";
  if (tag.n_children) showNarrower(tag, list);
  return h("section", {}, h("h3", {}, t("hierarchy")), list, also);
}

async function showNarrower(tag, list) {
  const { nodes } = await api.children(tag.tag_id);
  const depth = tag.path.length + 1;
  list.append(...nodes.slice(0, NARROWER).map((node) => h("li", { class: "quiet", vars: { "--depth": depth } }, named(node))));
  if (nodes.length > NARROWER) list.append(h("li", { class: "quiet", vars: { "--depth": depth } }, t("more", { n: whole(nodes.length - NARROWER) })));
}

// The nearest pictures with the tag; without an open image or a model, examples from the training images. A model with a
// memory compares the pictures that it learned from.
export function picturesOf(tag) {
  const compares = state.image && !state.image.blind && state.about.default_model;
  const heading = h("h3", { id: "evidence-title" }, t(compares ? "evidence" : "examples"));
  const gallery = h("div", { class: "gallery", role: "group", "aria-labelledby": "evidence-title" });
  const learns = h("p", { class: "quiet small", role: "status" });
  const more = h("button", { type: "button", hidden: true, onclick: () => look() });
  const look = () => (compares ? showNearest(tag, { heading, gallery, learns, more }) : showExamples(tag, gallery)).catch((error) => told(gallery, reasonOf(error)));
  look();
  return h("section", {}, heading, gallery, learns, h("p", {}, more));
}

const told = (gallery, text) => gallery.replaceChildren(h("p", { class: "quiet" }, text));

async function showExamples(tag, gallery) {
  const { images } = await api.examples(tag.tag_id);
  if (!images.length) return told(gallery, t("no_examples"));
  gallery.replaceChildren(...images.map((image) => figure(`/api/examples/${image.image_id}`, altOf(tag, image.data_provider), image.data_provider)));
}

async function showNearest(tag, { heading, gallery, learns, more }) {
  told(gallery, t("evidence_looking"));
  const found = await api.evidence(tag.tag_id, { image_id: state.image.image_id, model: $("model").value || null });
  heading.textContent = t(found.confirmed ? "evidence_confirmed" : "evidence");
  const own = figure(`/api/images/${state.image.image_id}/thumbnail`, "", t("evidence_own"), "own");
  if (found.images.length) gallery.replaceChildren(own, ...found.images.map((image) => nearest(tag, image, found.confirmed)));
  else told(gallery, t("evidence_none"));
  learns.textContent = found.confirmed ? t("evidence_learns") : "";
  const left = found.all - found.seen;
  more.hidden = left <= 0;
  more.textContent = t("grid_compare", { n: whole(left) });
}

function nearest(tag, image, confirmed) {
  const link = (href, text) => h("a", { href: href.replace(/^http:/, "https:"), target: "_blank", rel: "noopener noreferrer" }, text);
  const title = image.title || t("untitled");
  const src = image.kind === "training" ? `/api/examples/${image.image_id}` : `/api/images/${image.image_id}/thumbnail`;
  return figure(src, altOf(tag, image.holder ?? ""), [
    image.page ? link(image.page, title) : title,
    image.holder && h("span", {}, image.holder),
    h("span", {}, image.rights_uri ? link(image.rights_uri, image.rights) : t("no_rights")),
    (confirmed || image.kind === "decided") && h("span", {}, t(image.kind === "decided" ? "evidence_decided" : "evidence_training")),
  ]);
}

const altOf = (tag, provider) => t("example_of", { tag: labelOf(tag).text, provider });

const figure = (src, alt, caption, kind) => h("figure", { class: kind }, h("img", { src, alt, loading: "lazy" }), h("figcaption", {}, caption));

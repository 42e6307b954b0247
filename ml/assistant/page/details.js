// The dialog about a tag: scope note, place in the hierarchy, pictures with it, synonyms, labels, and a link to the AAT.
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { LANGUAGES, currentLanguage, labelOf, nameOfLanguage, t } from "./i18n.js";
import { state } from "./state.js";
import { worthText } from "./tree.js";
import { hierarchyOf, picturesOf } from "./why.js";

export async function showTag(node, acts, verdict) {
  const tag = await api.tag(node.tag_id);
  const label = labelOf(tag);
  const language = currentLanguage();
  const note = tag.scope_notes[language] ?? tag.scope_notes.en ?? Object.values(tag.scope_notes)[0];
  const noteLanguage = Object.keys(tag.scope_notes).find((code) => tag.scope_notes[code] === note);
  const synonyms = [...(tag.alt_labels[language] ?? []), ...(language === "en" ? [] : (tag.alt_labels.en ?? []))];
  const others = LANGUAGES.filter((code) => tag.labels[code] && code !== label.language);
  const ofTen = state.trees[tag.facet]?.suggested.get(tag.tag_id)?.of_ten;
  const close = () => $("dialog-tag").close();
  $("tag").replaceChildren(
    h("h2", { id: "tag-title", lang: label.language }, label.text, label.fallback ? h("span", { class: "lang" }, label.fallback) : null),
    h("p", {}, h("a", { href: tag.uri.replace("http:", "https:"), target: "_blank", rel: "noopener noreferrer" }, `AAT ${tag.tag_id}`), tag.in_model ? "" : ` · ${t("not_in_model")}`),
    Number.isInteger(ofTen) ? h("p", { class: "worth" }, h("strong", {}, `${ofTen}/10`), ` ${worthText(ofTen)} ${t("worth_where")}`) : "",
    h("div", { class: "acts" },
      h("button", { type: "button", class: "primary", onclick: () => { close(); acts.accept(node); } }, verdict === "accepted" ? t("withdraw") : t("accept")),
      h("button", { type: "button", onclick: () => { close(); acts.reject(node); } }, verdict === "rejected" ? t("withdraw") : t("reject")),
      h("button", { type: "button", onclick: () => { close(); acts.many(node); } }, t("grid_title"))),
    h("section", {}, h("h3", {}, t("scope_note")), h("p", { lang: noteLanguage }, note ?? t("no_scope_note"))),
    hierarchyOf(tag),
    picturesOf(tag),
    synonyms.length ? h("section", {}, h("h3", {}, t("synonyms")), h("p", {}, synonyms.slice(0, 12).join(" · "))) : "",
    others.length ? h("section", {}, h("h3", {}, t("labels")), h("dl", { class: "languages" }, others.flatMap((code) => [h("dt", {}, nameOfLanguage(code)), h("dd", { lang: code }, tag.labels[code])]))) : "",
  );
  $("dialog-tag").showModal();
}

// Language, colours, the list of models, and the table of shortcuts.
import { $, h } from "./dom.js";
import { LANGUAGES, currentLanguage, nameOfLanguage, t, translatePage, useLanguage, whole } from "./i18n.js";
import { renderQueueName } from "./choosing.js";
import { suggestionsNote } from "./images.js";
import { renderPerson } from "./person.js";
import { renderQueue, takeProgress } from "./queue.js";
import { note, renderActs, renderChosen, renderStage } from "./stage.js";
import { facets, remember, remembered, state } from "./state.js";

const KEYS = [
  [["↑", "↓", "←", "→"], () => t("key.move")], [["Home", "End"], () => t("key.ends")], [["*"], () => t("key.all")],
  [["a", () => t("key.space")], () => t("accept")], [["r", () => t("key.delete")], () => t("reject")], [["i"], () => t("about_tag")], [["u"], () => t("undo")],
  [["d"], () => t("done")], [["n", "p"], () => `${t("next")}, ${t("previous")}`], [() => facets().slice(0, 9).map((_, index) => String(index + 1)), () => t("key.facets")], [["/"], () => t("key.search")], [["q"], () => t("choose_queue")],
  [["g"], () => t("grid_title")], [["z"], () => t("key.picture")], [["+", "−", "0"], () => t("key.zoom")], [["↑", "↓", "←", "→", "r", "l", "f"], () => t("key.in_picture")],
  [["?"], () => t("shortcuts")], [["…"], () => t("key.typeahead")],
];

export function offerLanguages() {
  const own = (code) => new Intl.DisplayNames([code], { type: "language" }).of(code);
  $("language").replaceChildren(...LANGUAGES.map((code) => h("option", { value: code, lang: code }, own(code))));
}

export async function changeLanguage(code, search) {
  await useLanguage(code);
  remember("language", currentLanguage());
  translate(search);
}

export function translate(search) {
  const language = currentLanguage();
  translatePage();
  search.translate();
  $("language").value = language;
  $("coverage").textContent = t("coverage", { n: whole(state.about.labelled[language]), all: whole(state.about.tags), language: nameOfLanguage(language) });
  $("who").placeholder = t("anonymous");
  $("drop-hint").textContent = t("drop_hint", { mb: Math.floor(state.about.max_upload_bytes / 1e6) });
  renderPerson();
  renderQueueName();
  renderTheme();
  renderKeys();
  renderModels();
  takeProgress(state.progress);
  renderQueue();
  if (state.image) {
    renderStage();
    renderChosen();
    renderActs();
    note(suggestionsNote());
  }
  for (const tree of Object.values(state.trees)) tree.render();
}

function renderModels() {
  const { models, default_model: best } = state.about;
  const chosen = $("model").value || remembered("model", best ?? "");
  const option = ({ key, description, note: remark }) =>
    h("option", { value: key, title: [description, remark].filter(Boolean).join(" · ") }, key.replaceAll("_", " "));
  $("model").replaceChildren(...models.map(option));
  if (!models.length) $("model").append(h("option", { value: "" }, t("no_model")));
  $("model").value = models.some((model) => model.key === chosen) ? chosen : (best ?? "");
  $("model").disabled = models.length < 2;
}

const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

export function switchTheme() {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  remember("theme", document.documentElement.dataset.theme);
  renderTheme();
}

function renderTheme() {
  const word = t(isDark() ? "theme_light" : "theme_dark");
  $("theme").replaceChildren(h("span", { "aria-hidden": "true" }, isDark() ? "☀" : "☾"));
  $("theme").setAttribute("aria-label", word);
  $("theme").title = word;
}

function renderKeys() {
  const word = (text) => (typeof text === "function" ? text() : text);
  const row = ([keys, meaning]) => [h("dt", {}, word(keys).flatMap((key, at) => [at ? " " : "", h("kbd", {}, word(key))])), h("dd", {}, meaning())];
  $("keys").replaceChildren(...KEYS.flatMap(row));
}

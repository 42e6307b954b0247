// Texts of the page and labels of tags in the chosen language; a label in another language is marked.
export const LANGUAGES = ["ca", "es", "en", "de", "nl", "fr"];
const words = {};
let language = "en";
let english = {};

export async function useLanguage(code) {
  language = LANGUAGES.includes(code) ? code : "en";
  await Promise.all([...new Set([language, "en"])].map(async (each) => {
    words[each] ??= await (await fetch(`/page/i18n/${each}.json`)).json();
  }));
  english = words.en;
  document.documentElement.lang = language;
}

export const currentLanguage = () => language;

export function t(key, values = {}) {
  const text = words[language]?.[key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export const has = (key) => key in english;

export function nameOfLanguage(code) {
  return new Intl.DisplayNames([language], { type: "language" }).of(code) ?? code;
}

// The label in the chosen language, English, any other language, or the bare id; `fallback` is the other language, or null.
export function labelOf(node) {
  const found = [language, "en", ...Object.keys(node.labels).sort()].find((code) => node.labels[code]);
  if (!found) return { text: `aat:${node.tag_id}`, language: null, fallback: null };
  return { text: node.labels[found], language: found, fallback: found === language ? null : found };
}

export const number = (value, digits = 2) =>
  new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
export const whole = (value) => new Intl.NumberFormat(language).format(value);

let collator = null;
export function compare(a, b) {
  if (collator?.for !== language) collator = { for: language, by: new Intl.Collator(language, { numeric: true }) };
  return collator.by.compare(labelOf(a).text, labelOf(b).text);
}

export function translatePage() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
    if (element.tagName === "BUTTON") element.title = t(element.dataset.label);
  }
  document.title = `EUFCC · ${t("app")}`;
}

// What all parts of the page share: the current image and its decisions, the queue, and what the browser remembers.
import { $ } from "./dom.js";
import { LANGUAGES, currentLanguage, t, useLanguage } from "./i18n.js";

export const state = {
  about: null, // what the server offers
  queue: [],
  queueStart: 0, // the place of the first one in the queue of the server
  chosen: {}, // what the queue is chosen by: state, batch, provider, collection, order
  ranking: null, // how many images the model has looked at for the order
  progress: { open: 0, done: 0, skipped: 0, all: 0 },
  image: null, // the current image
  annotation: null, // its current decisions
  showing: null, // the suggestions shown, with the id of their log entry
  openedAt: null,
  clicks: 0, // and keys, since the last step
  trees: {}, // one FacetTree per facet
  acts: {}, // accept, reject and about for a tag, open for an image, add, export
};

export const facets = () => Object.keys(state.about.facets); // in the order of the trees
export const facetLabel = (facet) => { const labels = state.about.facet_labels[facet]; return labels[currentLanguage()] ?? labels.en; };

export const remembered = (key, otherwise = "") => localStorage.getItem(`eufcc.${key}`) ?? otherwise;
export const remember = (key, value) => localStorage.setItem(`eufcc.${key}`, value);

// The theme and the language chosen on an earlier visit, otherwise those of the browser.
export function usePreferences() {
  if (remembered("theme")) document.documentElement.dataset.theme = remembered("theme");
  return useLanguage(remembered("language") || navigator.languages.map((each) => each.slice(0, 2)).find((each) => LANGUAGES.includes(each)) || "en");
}

export const who = () => state.about.person.name ?? ($("who").value.trim() || t("anonymous"));

export function verdictOf(tag) {
  for (const verdict of ["accepted", "rejected", "implied"]) if (state.annotation?.[verdict].includes(tag)) return verdict;
  return undefined;
}

export const placeInQueue = () => state.queue.findIndex((each) => each.image_id === state.image?.image_id);

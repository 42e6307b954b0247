// What all parts of the page share: the image on the desk, what stands on it, the queue, and what the browser remembers.
import { $ } from "./dom.js";
import { t } from "./i18n.js";

export const FACETS = ["object_types", "materials", "classifications", "subjects"];

export const desk = {
  about: null, // what the server offers
  queue: [],
  progress: { open: 0, done: 0, skipped: 0, all: 0 },
  image: null, // the image on the desk
  annotation: null, // its decisions as they stand
  showing: null, // what was suggested, with the id the store knows it by
  openedAt: null,
  clicks: 0, // and keys, since the last step
  trees: {}, // one FacetTree a facet
  acts: {}, // what a click may ask for: accept, reject and about of a tag, open of an image, add
};

export const remembered = (key, otherwise = "") => localStorage.getItem(`eufcc.${key}`) ?? otherwise;
export const remember = (key, value) => localStorage.setItem(`eufcc.${key}`, value);

export const who = () => $("who").value.trim() || t("anonymous");

export function standOf(tag) {
  for (const stand of ["accepted", "rejected", "implied"]) if (desk.annotation?.[stand].includes(tag)) return stand;
  return undefined;
}

export const placeInQueue = () => desk.queue.findIndex((each) => each.image_id === desk.image?.image_id);

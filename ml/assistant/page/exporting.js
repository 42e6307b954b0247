// The dialog with the export files.
import { $, h } from "./dom.js";
import { currentLanguage, t } from "./i18n.js";
import { state } from "./state.js";

const FORMATS = ["csv", "omeka", "collectiveaccess", "edm", "lido", "linkedart", "webannotation"];

export function openExport() {
  renderLinks();
  $("dialog-export").onchange = renderLinks;
  $("dialog-export").showModal();
}

function renderLinks() {
  const query = new URLSearchParams({ lang: currentLanguage() });
  if (document.querySelector('[name="what"]:checked').value === "one" && state.image) query.set("image_id", state.image.image_id);
  if ($("export-machine").checked) query.set("machine", "true");
  const link = (href, format, name = "") => h("li", {}, h("a", { href, download: name }, t(`export.${format}`)));
  const iiif = (values) => new URLSearchParams({ ...values, lang: currentLanguage() });
  const { manifest, batch } = state.image ?? {};
  const links = FORMATS.map((format) => link(`/api/export?format=${format}&${query}`, format));
  if (manifest) links.push(link(`/iiif/annotations?${iiif({ manifest })}`, "annotations", "annotations.json"));
  if (batch) links.push(link(`/iiif/manifest?${iiif({ batch })}`, "manifest", "manifest.json"));
  $("formats").replaceChildren(...links);
}

// The dialog with the export files.
import { $, h } from "./dom.js";
import { currentLanguage, t } from "./i18n.js";
import { state } from "./state.js";

const FORMATS = ["csv", "edm", "webannotation", "lido"];

export function openExport() {
  renderLinks();
  $("dialog-export").onchange = renderLinks;
  $("dialog-export").showModal();
}

function renderLinks() {
  const query = new URLSearchParams({ lang: currentLanguage() });
  if (document.querySelector('[name="what"]:checked').value === "one" && state.image) query.set("image_id", state.image.image_id);
  if ($("export-machine").checked) query.set("machine", "true");
  $("formats").replaceChildren(...FORMATS.map((format) => h("li", {}, h("a", { href: `/api/export?format=${format}&${query}`, download: "" }, t(`export.${format}`)))));
}

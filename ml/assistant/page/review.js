// The reviewer's page: tags on which two people differ, and how far they agree.
import { notSaved, reasonOf } from "./adding.js";
import { api, newKey } from "./api.js";
import { $, h } from "./dom.js";
import { labelOf, number, t, translatePage, whole } from "./i18n.js";
import { facetLabel, remember, remembered, state, usePreferences, who } from "./state.js";

const MEASURES = ["agreement", "kappa", "alpha"];
const verdict = (applies) => t(applies ? "applies" : "applies_not");

function say(text) {
  $("live").textContent = text;
}

function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text;
}

async function settle(image, row, tag, accepted) {
  trouble("");
  try {
    const body = { tag_id: tag.node.tag_id, accepted, number: tag.settled?.number ?? 0, key: newKey(), who: who() };
    const after = (await api.settle(image.image_id, body)).tag;
    const same = [...document.querySelectorAll(".conflict")].filter((each) => each.dataset.of === row.dataset.of);
    if (same.length > 1) await load(); // several people's opinions differ from the first on this tag
    else row.replaceWith(tagRow(image, after));
    countOpen();
    say(t("settled_by", { who: after.settled.who, verdict: verdict(after.settled.accepted) }));
    (document.querySelector(".conflict:not(.is-settled) button") ?? $("settled")).focus();
  } catch (error) {
    if (["settled", "no_conflict"].includes(error.code)) await show();
    trouble(notSaved(error));
  }
}

function tagRow(image, tag) {
  const label = labelOf(tag.node);
  const said = (accepted) => h("button", {
    type: "button", "aria-label": t("settle_as", { tag: label.text, verdict: verdict(accepted) }), "aria-pressed": tag.settled ? String(tag.settled.accepted === accepted) : "false",
    onclick: (event) => settle(image, event.target.closest(".conflict"), tag, accepted),
  }, verdict(accepted));
  return h("li", { class: `conflict${tag.settled ? " is-settled" : ""}`, "data-of": `${image.image_id} ${tag.node.tag_id}` },
    h("p", {}, h("strong", { lang: label.language }, label.text), label.fallback ? h("span", { class: "lang" }, label.fallback) : null,
      h("span", { class: "path quiet small" }, [tag.node.facet ? facetLabel(tag.node.facet) : "", ...tag.path.map((step) => labelOf(step).text)].filter(Boolean).join(" › "))),
    h("p", { class: "opinions" }, h("span", { class: tag.first ? "yes" : "no" }, t("says", { who: image.first_by, verdict: verdict(tag.first) })), h("span", { class: tag.second ? "yes" : "no" }, t("says", { who: image.second_by, verdict: verdict(tag.second) }))),
    h("p", { class: "row" }, said(true), said(false), tag.settled ? h("span", { class: "quiet small" }, t("settled_by", { who: tag.settled.who, verdict: verdict(tag.settled.accepted) })) : null));
}

function imageBox({ image, first_by, second_by, tags }) {
  const title = image.title || t("untitled");
  const of = { ...image, first_by, second_by };
  return h("section", { class: "pair" },
    h("a", { href: `/api/images/${image.image_id}/picture`, target: "_blank", rel: "noopener" }, h("img", { src: `/api/images/${image.image_id}/picture`, alt: t("picture_of", { title }), loading: "lazy" })),
    h("div", {}, h("h2", {}, title), h("p", { class: "quiet small" }, [image.attribution, image.record_id].filter(Boolean).join(" · ")), h("ul", {}, tags.map((tag) => tagRow(of, tag)))));
}

let elsewhere = 0; // to settle, beyond the images shown
const openHere = () => document.querySelectorAll(".conflict:not(.is-settled)").length;

function countOpen() {
  $("open").textContent = t("review_open", { n: whole(elsewhere + openHere()) });
}

function measure(row, name) {
  if (row[name] === null) return "–";
  const interval = row[`${name}_low`] === null ? "" : ` [${number(row[`${name}_low`])}, ${number(row[`${name}_high`])}]`;
  return `${number(row[name])}${interval}`;
}

function renderAgreement(rows) {
  $("figures").hidden = !rows.length;
  $("measures").replaceChildren(h("tr", {}, [t("agreement_facet"), t("agreement_images"), ...MEASURES.map((name) => t(`agreement.${name}`))].map((text) => h("th", { scope: "col" }, text))));
  $("agreement").replaceChildren(...rows.map((row) => h("tr", {},
    h("th", { scope: "row" }, row.facet === "all" ? t("agreement_all") : facetLabel(row.facet)),
    h("td", {}, whole(row.images)), MEASURES.map((name) => h("td", {}, measure(row, name))))));
}

async function load() {
  const answer = await api.conflicts($("settled").checked);
  const boxes = answer.images.map(imageBox);
  if (!boxes.length) boxes.push(h("p", { class: "quiet" }, t("review_none")));
  if (answer.more_images) boxes.push(h("p", { class: "quiet" }, t("more_images", { n: whole(answer.more_images) })));
  $("conflicts").replaceChildren(...boxes);
  elsewhere = answer.open - openHere();
  countOpen();
  renderAgreement(answer.agreement);
}

async function show() {
  trouble("");
  await load().catch((error) => trouble(reasonOf(error)));
}

async function start() {
  [state.about] = await Promise.all([api.about(), usePreferences()]);
  translatePage();
  $("who-field").hidden = Boolean(state.about.person.name);
  $("who").value = remembered("who");
  $("who").placeholder = t("anonymous");
  $("who").addEventListener("change", () => remember("who", $("who").value.trim()));
  $("settled").addEventListener("change", show);
  await show();
  document.body.dataset.ready = "true";
}

start();

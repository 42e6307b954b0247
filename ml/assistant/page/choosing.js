// The dialog in which a queue is chosen: by state, batch, institution and collection, in an order; and the place in the address.
import { reasonOf } from "./adding.js";
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { currentLanguage, t, whole } from "./i18n.js";
import { may } from "./person.js";
import { state, who } from "./state.js";

const GROUPS = { batch: "batches", provider: "providers", collection: "collections" };
const CHOICES = ["state", ...Object.keys(GROUPS), "order"];
const NAMES = [...CHOICES, "second"];
const STATES = ["", "open", "skipped", "done"];
const ORDERS = ["added", "uncertain", "disagreement", "new_tags"];
const LONGEST_NAME = 40;

let groups = { batches: [], providers: [], collections: [] };

// The image and the queue that an address names after its #.
export function placeInAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const image = given.get("image");
  const queue = Object.fromEntries(NAMES.map((name) => [name, given.get(name)]).filter(([, value]) => value));
  return { image: /^[0-9a-f]{64}$/.test(image ?? "") ? image : undefined, queue };
}

export function placeToAddress(image) {
  history.replaceState(null, "", `#${new URLSearchParams({ ...(image ? { image } : {}), ...state.chosen })}`);
}

const word = { state: (value) => t(value ? `${value}_mark` : "queue_state.all"), order: (value) => t(`order.${value}`) };

function nameOf(name, each) {
  if (name !== "batch") return each.key;
  const date = new Intl.DateTimeFormat(currentLanguage(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(each.added_at));
  return t("batch_of", { what: each.collection ?? t(`source.${each.source}`), who: each.added_by, date });
}

function shortName(name, value) {
  const group = groups[GROUPS[name]]?.find((each) => each.key === value);
  const text = group ? nameOf(name, group) : value;
  return text.length > LONGEST_NAME ? `${text.slice(0, LONGEST_NAME - 1)}…` : text;
}

// What the button along the lower edge says: the queue that is shown.
export function renderQueueName() {
  const { state: shown = "", order = "added" } = state.chosen;
  const parts = Object.keys(GROUPS).filter((name) => state.chosen[name]).map((name) => shortName(name, state.chosen[name]));
  $("queue-name").textContent = t("queue_named", { what: [state.chosen.second ? t("second_opinion") : "", shown ? word.state(shown) : "", ...parts, word.order(order)].filter(Boolean).join(" · ") });
}

function renderChoices() {
  const option = (value, text) => h("option", { value }, text);
  $("queue-state").replaceChildren(...STATES.map((value) => option(value, word.state(value))));
  $("queue-order").replaceChildren(...ORDERS.map((value) => option(value, word.order(value))));
  for (const [name, key] of Object.entries(GROUPS)) {
    const rows = groups[key];
    const texts = rows.map((each) => option(each.key, t("open_of", { what: nameOf(name, each), open: whole(each.open), all: whole(each.all) })));
    $(`queue-${name}`).replaceChildren(option("", t("every", { n: whole(rows.length) })), ...texts);
    $(`queue-${name}`).disabled = !rows.length;
  }
  for (const name of CHOICES) $(`queue-${name}`).value = state.chosen[name] ?? (name === "order" ? "added" : "");
  for (const name of ORDERS.slice(1)) $("queue-order").querySelector(`[value=${name}]`).disabled = !state.about.default_model;
}

export async function learnGroups() {
  groups = await api.queues(who());
  renderQueueName();
}

export async function chooseQueue() {
  await learnGroups();
  renderChoices();
  $("queue-note").textContent = "";
  renderRanking();
  const open = groups.second?.open ?? 0;
  $("second-continue").hidden = !open;
  $("second-continue").textContent = t("second_continue", { n: whole(open) });
  $("review-link").hidden = !may("reviewer");
  $("dialog-queue").showModal();
}

function renderRanking() {
  const { ranking } = state;
  if (ranking && ranking.ranked < ranking.all) $("queue-note").textContent = t("ranked", { n: whole(ranking.ranked), all: whole(ranking.all) });
}

// `show(queue)` opens the chosen queue.
export function startChoosing(show) {
  $("choose-queue").addEventListener("click", chooseQueue);
  $("choose-other").addEventListener("click", chooseQueue);
  $("show-queue").addEventListener("click", () => {
    const chosen = Object.fromEntries(CHOICES.map((name) => [name, $(`queue-${name}`).value]).filter(([name, value]) => value && !(name === "order" && value === "added")));
    $("dialog-queue").close();
    show(chosen);
  });
  const showSecond = () => { $("dialog-queue").close(); show({ second: "true" }); };
  $("second-continue").addEventListener("click", showSecond);
  $("second-begin").addEventListener("click", async () => {
    try {
      await api.beginOpinions({ count: Number($("second-count").value) || 1, who: who() });
      showSecond();
    } catch (error) {
      $("queue-note").textContent = reasonOf(error);
    }
  });
  $("copy-link").hidden = !navigator.clipboard; // missing where a desk on another machine is reached by plain HTTP
  $("copy-link").addEventListener("click", async () => {
    await navigator.clipboard.writeText(location.href);
    $("queue-note").textContent = t("link_copied");
  });
}

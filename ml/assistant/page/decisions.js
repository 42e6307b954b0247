// Sends decisions one after the other, each with the version of the image that it is based on.
import { notSaved } from "./adding.js";
import { api, newKey } from "./api.js";
import { $ } from "./dom.js";
import { labelOf, t } from "./i18n.js";
import { NOT_SIGNED_IN, signInAgain } from "./person.js";
import { renderQueue, takeProgress } from "./queue.js";
import { notice, renderActs, renderChosen, say } from "./stage.js";
import { state, verdictOf, who } from "./state.js";

let saving = Promise.resolve();

export const allSaved = () => saving;

const stepBody = () => ({
  who: who(), version: state.annotation.version, key: newKey(), opened_at: state.openedAt, clicks: state.clicks, showing_id: state.showing?.showing_id ?? null,
});

export function step(send, saidWhenDone) {
  const on = state.image.image_id;
  saving = saving.then(async () => {
    if (state.image?.image_id !== on) return;
    $("saved").textContent = t("saving");
    const body = stepBody();
    await attempt(() => send(on, body), saidWhenDone, () => step(send, saidWhenDone));
  });
  return saving;
}

async function attempt(request, saidWhenDone, restart) {
  try {
    const answer = await request();
    state.clicks = 0;
    takeAnnotation(answer.annotation);
    if (answer.progress) takeProgress(answer.progress);
    $("saved").textContent = t("saved");
    say(saidWhenDone(answer.annotation));
  } catch (error) {
    $("saved").textContent = "";
    const again = [t("try_again"), () => attempt(request, saidWhenDone, restart)]; // with the same key, so that it counts once
    if (error.code === "conflict") {
      takeAnnotation(error.body.annotation);
      notice(conflictText(error.body), [[t("do_it_anyway"), restart]]);
    } else if (["unreachable", "store_away", "busy", "too_many_requests", "slow_body"].includes(error.code)) {
      notice(notSaved(error), [again]);
    } else if (NOT_SIGNED_IN.includes(error.code)) {
      notice(notSaved(error), [[t("sign_in_again"), signInAgain, "stay"], again]);
    } else if (error.code !== "nothing_to_undo") {
      notice(notSaved(error), []);
    }
  }
}

function conflictText(body) {
  const nodeOf = (tag) => body.annotation.nodes[tag] ?? Object.values(state.trees).map((tree) => tree.nodes.get(tag)).find(Boolean);
  const nameOf = (tag) => (nodeOf(tag) ? labelOf(nodeOf(tag)).text : `aat:${tag}`);
  const what = body.since.map(({ kind, changes: [first] }) => (first ? t(`change.${first.action}`, { tag: nameOf(first.tag_id) }) : t(`change.${kind}`)));
  return t("conflict", { who: [...new Set(body.since.map((line) => line.who))].join(", "), what: what.join("; ") });
}

export function takeAnnotation(next) {
  state.annotation = next;
  for (const tree of Object.values(state.trees)) {
    tree.learn(next.nodes);
    for (const tag of [...next.accepted, ...next.rejected]) if (tree.nodes.has(tag)) tree.reveal(tag);
    tree.render();
  }
  const entry = state.queue.find((each) => each.image_id === next.image_id);
  if (entry && entry.state !== next.state) { entry.state = next.state; renderQueue(); }
  state.image.state = next.state;
  renderChosen();
  renderActs();
}

// The text for screen readers: the decision, and the tags that were taken back with it.
function said(word, node) {
  const { accepted, nodes } = state.annotation;
  return (after) => {
    const fell = accepted.filter((tag) => tag !== node.tag_id && !after.accepted.includes(tag)).map((tag) => labelOf(nodes[tag] ?? state.trees[node.facet].nodes.get(tag)).text);
    const text = t(`said.${word}`, { tag: labelOf(node).text });
    return fell.length ? `${text}; ${t("said.fell", { tags: fell.join(", ") })}` : text;
  };
}

// `wanted` is accept or reject; a tag that is so already is withdrawn.
export function decide(node, wanted) {
  const action = verdictOf(node.tag_id) === { accept: "accepted", reject: "rejected" }[wanted] ? "withdraw" : wanted;
  state.trees[node.facet].learn({ [node.tag_id]: node });
  return step((id, body) => api.decide(id, { ...body, tag_id: node.tag_id, action }), said(action, node));
}

export const undo = () => state.annotation?.can_undo && step((id, body) => api.undo(id, body), () => t("said.undo"));

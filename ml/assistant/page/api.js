// The API of the assistant. A refusal is an ApiError with a code; the code "unreachable" means that there was no answer.
export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(body.message || String(status));
    this.retryAfter = Math.min(retryAfter || 1, LONGEST_WAIT_S); // seconds
    this.status = status;
    this.code = body.error || "other";
    this.body = body;
  }
}

const TRIES = 5; // of a request that a busy server refuses
const LONGEST_WAIT_S = 5;
const BUSY = ["busy", "too_many_requests"];

async function ask(method, address, { body, json } = {}) {
  const headers = { "x-assistant": "1" };
  if (json !== undefined) {
    headers["content-type"] = "application/json";
    body = JSON.stringify(json);
  } else if (body instanceof Blob) {
    headers["content-type"] = body.type || "application/octet-stream";
  }
  for (let tries = 1; ; tries += 1) {
    try {
      return await once(method, address, headers, body);
    } catch (error) {
      if (!BUSY.includes(error.code) || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, error.retryAfter * 1000));
    }
  }
}

async function once(method, address, headers, body) {
  let answer;
  try {
    answer = await fetch(address, { method, headers, body, credentials: "same-origin" });
  } catch {
    throw new ApiError(0, { error: "unreachable", message: "" });
  }
  let content = {};
  try {
    content = await answer.json();
  } catch {
    if (answer.ok && answer.status !== 204) throw new ApiError(answer.status, { error: "unreachable", message: "" });
  }
  if (!answer.ok) throw new ApiError(answer.status, content, Number(answer.headers.get("retry-after")));
  return content;
}

// A key that no other step has. `crypto.randomUUID` is missing where a desk on another machine is reached by plain HTTP.
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const query = (values) => new URLSearchParams(Object.entries(values).filter(([, v]) => v !== null && v !== undefined && v !== ""));

export const api = {
  about: () => ask("GET", "/api/about"),
  signOut: () => ask("POST", "/sign-out"),
  status: () => ask("GET", "/api/status"),
  queue: (values) => ask("GET", `/api/queue?${query(values)}`),
  queues: (who) => ask("GET", `/api/queues?${query({ who })}`),
  beginOpinions: (json) => ask("POST", "/api/opinions", { json }),
  conflicts: (settled) => ask("GET", `/api/conflicts?${query({ settled })}`),
  settle: (id, json) => ask("POST", `/api/images/${id}/settlements`, { json }),
  image: (id) => ask("GET", `/api/images/${id}`),
  zoom: (id) => ask("POST", `/api/images/${id}/zoom`),
  grid: (json) => ask("POST", "/api/grid", { json }),
  decideTogether: (json) => ask("POST", "/api/grid/decisions", { json }),
  undoTogether: (json) => ask("POST", "/api/grid/undo", { json }),
  suggestions: (id, model) => ask("POST", `/api/images/${id}/suggestions?${query({ model })}`),
  roots: (facet) => ask("GET", `/api/tree/${facet}`),
  children: (tag) => ask("GET", `/api/tags/${encodeURIComponent(tag)}/children`),
  tag: (tag) => ask("GET", `/api/tags/${encodeURIComponent(tag)}`),
  evidence: (tag, json) => ask("POST", `/api/tags/${encodeURIComponent(tag)}/evidence`, { json }),
  examples: (tag) => ask("GET", `/api/tags/${encodeURIComponent(tag)}/examples`),
  search: (q, lang) => ask("GET", `/api/search?${query({ q, lang, limit: 12 })}`),
  decide: (id, json) => ask("POST", `/api/images/${id}/decisions`, { json }),
  undo: (id, json) => ask("POST", `/api/images/${id}/undo`, { json }),
  move: (id, json, queue) => ask("POST", `/api/images/${id}/state?${query(queue)}`, { json }),
  upload: (file, title, who, batch) => ask("POST", `/api/images?${query({ who, title, batch })}`, { body: file }),
  addDataset: (json) => ask("POST", "/api/images/dataset", { json }),
  addAddress: (json) => ask("POST", "/api/images/address", { json }),
};

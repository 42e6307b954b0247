// The API of the assistant. A refusal is an ApiError with a code; the code "unreachable" means that there was no answer.
export class ApiError extends Error {
  constructor(status, body) {
    super(body.message || String(status));
    this.status = status;
    this.code = body.error || "other";
    this.body = body;
  }
}

async function ask(method, address, { body, json } = {}) {
  const headers = { "x-assistant": "1" };
  if (json !== undefined) {
    headers["content-type"] = "application/json";
    body = JSON.stringify(json);
  } else if (body instanceof Blob) {
    headers["content-type"] = body.type || "application/octet-stream";
  }
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
    if (answer.ok) throw new ApiError(answer.status, { error: "unreachable", message: "" });
  }
  if (!answer.ok) throw new ApiError(answer.status, content);
  return content;
}

const query = (values) => new URLSearchParams(Object.entries(values).filter(([, v]) => v !== null && v !== undefined && v !== ""));

export const api = {
  about: () => ask("GET", "/api/about"),
  queue: (offset = 0, limit = 200) => ask("GET", `/api/queue?${query({ offset, limit })}`),
  firstOpen: () => ask("GET", "/api/queue?state=open&limit=1"),
  image: (id) => ask("GET", `/api/images/${id}`),
  suggestions: (id, model) => ask("GET", `/api/images/${id}/suggestions?${query({ model })}`),
  roots: (facet) => ask("GET", `/api/tree/${facet}`),
  children: (tag) => ask("GET", `/api/tags/${tag}/children`),
  tag: (tag) => ask("GET", `/api/tags/${tag}`),
  examples: (tag) => ask("GET", `/api/tags/${tag}/examples`),
  search: (q, lang) => ask("GET", `/api/search?${query({ q, lang, limit: 12 })}`),
  decide: (id, json) => ask("POST", `/api/images/${id}/decisions`, { json }),
  undo: (id, json) => ask("POST", `/api/images/${id}/undo`, { json }),
  move: (id, json) => ask("POST", `/api/images/${id}/state`, { json }),
  upload: (file, title, who, batch) => ask("POST", `/api/images?${query({ who, title, batch })}`, { body: file }),
  addDataset: (json) => ask("POST", "/api/images/dataset", { json }),
  addAddress: (json) => ask("POST", "/api/images/address", { json }),
};

// Requests to this server. A refusal becomes a ProblemError that carries the problem (RFC 9457) of the answer.

export class ProblemError extends Error {
  constructor(problem) {
    super(problem.detail || problem.title || "The server refused.");
    this.code = problem.code ?? "unknown";
    this.status = problem.status ?? 0;
    this.field = problem.field ?? null;
    this.retryAfterSeconds = problem.retryAfterSeconds ?? null;
  }
}

const unreachable = { code: "unreachable", status: 0, detail: "The server cannot be reached. Nothing was changed." };

async function send(address, { timeoutSeconds = 30, ...options }) {
  const limit = AbortSignal.timeout(timeoutSeconds * 1000);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  let answer;
  try {
    answer = await fetch(address, { credentials: "same-origin", redirect: "error", ...options, signal });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ProblemError(
      limit.aborted ? { ...unreachable, code: "timeout", detail: "The server did not answer in time." }
      : unreachable);
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({ detail: `The server answered ${answer.status}.` }));
  const retry = Number(answer.headers.get("retry-after"));
  throw new ProblemError({ ...problem, status: answer.status, retryAfterSeconds: retry > 0 ? retry : null });
}

/** GET, as JSON. Options: signal, timeoutSeconds. */
export async function getJSON(address, options = {}) {
  return (await send(address, { headers: { Accept: "application/json" }, ...options })).json();
}

/** GET, as the answer itself: for text, sizes, headers. */
export async function get(address, options = {}) {
  return send(address, options);
}

/** POST of JSON; answers JSON. */
export async function postJSON(address, body, options = {}) {
  return (await post(address, body, options)).json();
}

/** POST of JSON; gives the answer itself. */
export async function post(address, body, options = {}) {
  const headers = { "Content-Type": "application/json", ...options.headers };
  return send(address, { method: "POST", body: JSON.stringify(body), ...options, headers });
}

// Servers between a client and bin/local, for the tests of the client.
import { createServer } from "node:http";

/** Listens on a free port, or the given one, until the test ends. */
export async function listen(t, handler, port = 0) {
  const server = createServer(handler);
  await new Promise((resolve, reject) => server.on("error", reject).listen(port, "127.0.0.1", resolve));
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { url: `http://127.0.0.1:${server.address().port}`, server };
}

export async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A gateway that sends these answers one after the other, and repeats the last. An answer is
 *  {status, headers, body}, or a function of the request and the response. */
export async function gateway(t, ...answers) {
  const requests = [];
  const { url } = await listen(t, async (request, response) => {
    const body = await bodyOf(request);
    requests.push({ method: request.method, url: request.url, headers: request.headers, body: body.toString(), at: performance.now() });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (typeof answer === "function") return answer(request, response);
    const { status = 200, headers, body: text } = answer;
    response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(typeof text === "string" ? text : JSON.stringify(text));
  });
  return { url, requests };
}

/** A proxy to a running API. `intercept(response, request, send)` may answer instead; send passes the
 *  request on and returns the answer. It counts the requests that are open at the same time. */
export async function proxy(t, base, intercept = (_response, _request, send) => send()) {
  const seen = { requests: [], open: 0, most: 0 };
  const { url } = await listen(t, async (request, response) => {
    const body = await bodyOf(request);
    seen.most = Math.max(seen.most, ++seen.open);
    const gone = new AbortController();
    response.on("close", () => { seen.open--; gone.abort(); });
    const { host, connection, ...headers } = request.headers;
    const record = { method: request.method, url: request.url, headers, at: performance.now() };
    seen.requests.push(record);
    const send = async () => {
      const answer = await fetch(base + request.url, { method: request.method, headers, body: body.length ? body : undefined, signal: gone.signal });
      record.status = answer.status;
      const { "content-encoding": _, "transfer-encoding": __, "content-length": ___, ...got } = Object.fromEntries(answer.headers);
      return { status: answer.status, headers: got, body: Buffer.from(await answer.arrayBuffer()) };
    };
    try {
      const answer = await intercept(response, record, send);
      if (answer && !response.writableEnded && !response.destroyed) response.writeHead(answer.status, answer.headers).end(answer.body);
    } catch (error) {
      if (!gone.signal.aborted) response.writeHead(502).end(String(error));
    }
  });
  return Object.assign(seen, { url });
}

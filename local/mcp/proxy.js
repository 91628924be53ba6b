// A proxy on loopback for a client that cannot send a token.
import { createServer, request } from "node:http";

/**
 * Starts a proxy in front of a server. It adds the token and changes nothing else,
 * above all not Host and Origin, which the client varies.
 */
export async function startProxy(url, token) {
  const { hostname, port } = new URL(url);
  const server = createServer((incoming, answer) => {
    const headers = [...incoming.rawHeaders, "Authorization", `Bearer ${token}`];
    const outgoing = request({ hostname, port, method: incoming.method, path: incoming.url, headers, timeout: 35_000 }, (response) => {
      answer.writeHead(response.statusCode, response.rawHeaders);
      response.pipe(answer);
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer within 35 s")));
    outgoing.on("error", (error) => answer.destroy(error));
    incoming.pipe(outgoing);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

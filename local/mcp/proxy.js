// A proxy on loopback for a client that cannot send a token of its own.
import { createServer, request } from "node:http";

/**
 * Puts one in front of a server. It adds the token and leaves all else as it
 * came: Host and Origin above all, which the client is there to play with.
 */
export async function startProxy(url, token) {
  const { hostname, port } = new URL(url);
  const server = createServer((asked, answer) => {
    const headers = [...asked.rawHeaders, "Authorization", `Bearer ${token}`];
    const onward = request({ hostname, port, method: asked.method, path: asked.url, headers, timeout: 35_000 }, (came) => {
      answer.writeHead(came.statusCode, came.rawHeaders);
      came.pipe(answer);
    });
    onward.on("timeout", () => onward.destroy(new Error("no answer within 35 s")));
    onward.on("error", (error) => answer.destroy(error));
    asked.pipe(onward);
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

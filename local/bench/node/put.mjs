#!/usr/bin/env node
// A function for Node as most are written: the SDK's document client, and one put of an
// item that must be new. The loop stands for Lambda's own runtime, which does the same.
import http from "node:http";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand } from "@aws-sdk/lib-dynamodb";

const db = DynamoDBDocumentClient.from(new DynamoDBClient({}));

async function handle(event) {
  const { prompt } = JSON.parse(event.body);
  if (!prompt) return { statusCode: 400 };
  await db.send(new PutCommand({
    TableName: "tasks",
    ConditionExpression: "attribute_not_exists(id)",
    Item: { id: event.requestContext.requestId, prompt, status: "submitting" },
  }));
  return { statusCode: 200, body: JSON.stringify({ status: "submitting" }) };
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const base = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`;

function call(method, path, body = "") {
  return new Promise((resolve, reject) => {
    const request = http.request(base + path, { method, agent, headers: { "Content-Length": Buffer.byteLength(body) } }, async (answer) => {
      const chunks = [];
      for await (const chunk of answer) chunks.push(chunk);
      resolve({ id: answer.headers["lambda-runtime-aws-request-id"], body: Buffer.concat(chunks).toString() });
    });
    request.on("error", reject);
    request.end(body);
  });
}

for (;;) {
  const { id, body } = await call("GET", "next");
  try {
    await call("POST", `${id}/response`, JSON.stringify(await handle(JSON.parse(body))));
  } catch (e) {
    await call("POST", `${id}/error`, JSON.stringify({ errorType: e.name, errorMessage: e.message }));
  }
}

// answer.mjs BASE CHANNEL MODEL: asks with OpenAI's own client, prints every token; at the line
// "leave" it aborts the request and reads on with an EventSource from where the answer began.
import { EventSource } from "eventsource";
import OpenAI from "openai";
import readline from "node:readline";

const [base, channel, model] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));

const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
const { data: stream, response } = await openai.chat.completions
  .create(
    { model, stream: true, messages: [{ role: "user", content: "hello" }] },
    { headers: { "X-Recado-Channel": channel } },
  )
  .withResponse();
const epoch = response.headers.get("X-Recado-Epoch");
const offset = response.headers.get("X-Recado-Offset");
print({ channel: response.headers.get("X-Recado-Channel"), epoch, offset });

readline.createInterface({ input: process.stdin }).on("line", () => stream.controller.abort());
try {
  for await (const chunk of stream) {
    const text = chunk.choices[0]?.delta?.content;
    if (text) print({ token: text });
  }
} catch (problem) {
  print({ problem: problem.constructor.name });
}

const since = encodeURIComponent(`${epoch}:${offset}`);
const url = `${base}/events?channel=${encodeURIComponent(channel)}&last_event_id=${since}`;
const source = new EventSource(url);
for (const name of ["chat:message", "chat:append"]) {
  source.addEventListener(name, (event) => {
    const data = JSON.parse(event.data);
    print({ type: name, id: event.lastEventId, data });
    if (name === "chat:message" && data.state !== "streaming") source.close();
  });
}

// conductor.mjs MODE ...: what the conductor's own clients do, with the libraries they stand on.
//   watch URL N        the dashboard's socket (ws): prints N frames as they came
//   chat BASE TEXT     asks for a job, opens its stream one round trip later, prints what the page
//                      would show: each event, the final answer on `result`, and the end
//   execute BASE TEXT  the same for the agents' page: a stream that ends before `result` or `error`
//                      is a failed run, and every event must have its data
import { EventSource } from "eventsource";
import WebSocket from "ws";

const [mode, url, more] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));

function watch(count) {
  const socket = new WebSocket(url);
  socket.on("message", (frame) => {
    console.log(frame.toString());
    if (--count === 0) socket.close();
  });
  socket.on("close", (code, reason) => say({ closed: code, reason: reason.toString() }));
  socket.on("error", (error) => say({ failed: error.message }));
}

async function start(text) {
  const answer = await fetch(`${url}/api/v1/stream-execute`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-API-Key": "never checked" },
    body: JSON.stringify({ uid: "u1", title: "t", textEntries: [{ uid: "e1", content: text }] }),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  const { job_id } = await answer.json();
  await fetch(`${url}/health`); // the page has other things to do first
  return new EventSource(`${url}/api/v1/stream/${job_id}`);
}

async function chat(text) {
  const source = await start(text);
  let finals = 0;
  source.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    say(event);
    if (event.event === "result") finals++;
  };
  source.addEventListener("end_of_stream", () => finals++); // named: the answer is shown twice
  source.onerror = () => {
    source.close();
    say({ finals });
  };
}

async function execute(text) {
  const source = await start(text);
  let done = false;
  source.onmessage = ({ data }) => {
    const { event, data: payload } = JSON.parse(data);
    if (event === "on_tool_end") payload.output.slice(0, 10);
    Object.keys(payload);
    done ||= event === "result" || event === "error";
  };
  source.onerror = () => {
    source.close();
    say({ run: done ? "completed" : "failed" });
  };
}

const modes = { watch: () => watch(Number(more)), chat: () => chat(more), execute: () => execute(more) };
await modes[mode]();

// orquestrador.mjs test URL: what the application's test-websocket.js does and reads, unguarded
// fields included; prints what it would show, a JSON line each, and ends itself when it has seen
// metrics, an update of task 1 and the model's answer. A field that is not there ends it with
// an exception, as it did there.
//
// orquestrador.mjs hook URL MS: the page's useWebSocket hook, reconnecting after MS, at most 5
// attempts in a row; prints every message. A line is sent as it is, `quit` ends.
//
// orquestrador.mjs ask URL: sends each line of its input as one message and prints the answer;
// with "binary" behind URL as binary frames.
//
// orquestrador.mjs broken URL COUNT: sends COUNT broken texts and compares the error frames with
// what JSON.parse() here says; prints the number of differences.
import readline from "node:readline";
import WebSocket from "ws";

const [mode, url, ...rest] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));
const send = (ws, value) => ws.send(JSON.stringify(value));

function test() {
  const ws = new WebSocket(url);
  const wanted = new Set(["metrics", "task:update", "answer"]);
  ws.on("open", () => {
    send(ws, { type: "ping" });
    send(ws, { type: "monitoring:subscribe" });
    send(ws, { type: "task:subscribe", data: { taskId: 1 } });
    send(ws, { type: "chat:history", data: { conversationId: 1, limit: 50 } });
    send(ws, { type: "chat:send", data: { message: "Olá! Como você está?", conversationId: 1 } });
  });
  ws.on("message", (bytes) => {
    const { type, data } = JSON.parse(bytes.toString());
    wanted.delete(type === "chat:message" && data.role === "assistant" ? "answer" : type);
    if (type === "metrics") print(`CPU: ${data.cpu?.usage}% RAM: ${data.memory?.usedPercent}%`);
    else if (type === "task:update") print(`${data.task?.title}: ${data.task?.status}`);
    else if (type === "task:subscribed") print(`task ${data.taskId}`);
    else if (type === "chat:history") print(data[data.length - 1].content.substring(0, 50));
    else if (type === "chat:message") print(data.content.substring(0, 50));
    else if (type === "chat:streaming") print(data.chunk);
    else if (type === "error") print(`error: ${data.message}`);
    else print(type);
    if (wanted.size === 0) ws.close();
  });
  ws.on("close", (code) => print({ close: code }));
}

function hook(ms) {
  let attempts = 0;
  let ws;
  const lines = readline.createInterface({ input: process.stdin });
  const connect = () => {
    ws = new WebSocket(url);
    ws.onopen = () => { attempts = 0; print("open"); };
    ws.onmessage = (event) => print(JSON.parse(event.data));
    ws.onerror = () => {};
    ws.onclose = ({ code }) => {
      print({ close: code });
      if (attempts++ < 5) setTimeout(connect, ms);
      else lines.close();
    };
  };
  lines.on("line", (line) => (line === "quit" ? process.exit(0) : ws.send(line)));
  connect();
}

function ask(binary) {
  const ws = new WebSocket(url);
  const waiting = [];
  ws.on("open", () => readline.createInterface({ input: process.stdin })
    .on("line", (line) => { waiting.push(line); ws.send(line, { binary }); })
    .on("close", () => waiting.length === 0 && ws.close()));
  ws.on("message", (bytes, isBinary) => {
    console.log(`${isBinary ? "binary " : ""}${bytes}`);
    waiting.shift();
    if (waiting.length === 0) ws.close();
  });
}

// The same texts every time: a small generator of random numbers with a fixed seed.
let seed = 42;
const below = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;

function breakText() {
  const whole = ['{"type":"task:subscribe","data":{"taskId":1}}', '[1,-2.5e+3,0.5,[],{},"\\u00e9\\n"]',
    '{"a":{"b":[true,false,null]},"é😀":"😀\\ud83d\\ude00"}', '"text"', "-0.5", "{}"];
  const odd = ['"', "\\", "{", "}", "[", "]", ",", ":", "-", "0", "1", ".", "e", "t", "n", " ", "\n", "\t", "x", "é",
    "😀", "\u0001", "\\u12", "undefined", "NaN", "'"];
  let text = whole[below(whole.length)];
  for (let i = below(4); i >= 0; i--) {
    const chars = [...text];
    const at = below(chars.length + 1);
    const kind = below(3);
    if (kind === 0) chars.length = at;
    else chars.splice(at, kind === 1 ? 1 : 0, odd[below(odd.length)]);
    text = chars.join("");
  }
  return text;
}

function broken(count) {
  const ws = new WebSocket(url);
  const expected = [];
  const differences = [];
  const sendSome = () => { // answers wait at the server while nobody reads: not too many at once
    for (const most = Math.min(count, 500), first = count; first - count < most; ) {
      const text = breakText();
      try {
        JSON.parse(text);
      } catch (error) {
        expected.push([text, `Erro ao processar mensagem: ${error}`.toWellFormed()]);
        ws.send(text);
        count--;
      }
    }
  };
  ws.on("open", sendSome);
  ws.on("message", (bytes) => {
    const [text, message] = expected.shift();
    const { data } = JSON.parse(bytes.toString());
    if (data.message !== message) differences.push({ text, message, got: data.message });
    if (expected.length === 0 && count > 0) sendSome();
    if (expected.length > 0) return;
    print({ differences: differences.length, first: differences.slice(0, 5) });
    ws.close();
  });
  ws.on("close", (code) => expected.length > 0 && print({ close: code }));
}

({ test, hook: () => hook(Number(rest[0])), ask: () => ask(rest[0] === "binary"),
  broken: () => broken(Number(rest[0])) })[mode]();

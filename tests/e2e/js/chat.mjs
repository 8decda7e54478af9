// chat.mjs URL: a page as docs/chat.md shows it for native clients: follows chat:1, reads the list
// when an answer under way has come already, asks over the same connection. Prints "so far" with
// the first text of an answer that it did not ask for itself, the text of every answer that has
// come to its end, and at last who speaks, in the order in which a page draws.
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";
import { readerOfThePage } from "./chat_page.mjs";

const { messages, put, heard, inOrder } = readerOfThePage();
const centrifuge = new Centrifuge(process.argv[2], { websocket: WebSocket });
const chat = centrifuge.newSubscription("chat:1");
let ended = 0, listed;

function print(what) {
  console.log(JSON.stringify(what));
}

async function list() {
  (await centrifuge.rpc("chat.history", { conversation_id: 1 })).data.messages.forEach(put);
}

async function next() {
  await listed;
  if (++ended === 1) return centrifuge.rpc("chat.send", { message: "noch eine" });
  print({ drawn: inOrder().map((message) => message.role) });
  centrifuge.disconnect();
}

chat.on("publication", async ({ data, tags }) => {
  const known = messages.has(data.id);
  heard(tags.type, data);
  const message = messages.get(data.id);
  if (message.role !== "assistant") return;
  if (!known && message.content !== "") print({ "so far": message.content });
  listed ??= list();
  if (tags.type !== "chat:message" || message.state === "streaming") return;
  print({ [message.state]: message.content });
  await next();
});
chat.subscribe();
centrifuge.connect();

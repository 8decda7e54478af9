// chat.mjs URL: what docs/chat.md shows for native clients: follows chat:1, asks over the same
// connection, prints "so far" with the first text of an answer that it did not ask for itself, and
// the text of every answer that has come to its end.
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";

const messages = new Map();
const centrifuge = new Centrifuge(process.argv[2], { websocket: WebSocket });
const chat = centrifuge.newSubscription("chat:1");
let ended = 0;

function heard(type, data) {
  if (type === "chat:message") messages.set(data.id, data);
  if (type === "chat:append") messages.get(data.id).content += data.text;
}

chat.on("publication", async ({ data, tags }) => {
  const known = messages.has(data.id);
  heard(tags.type, data);
  const message = messages.get(data.id);
  if (message.role !== "assistant") return;
  if (!known && message.content !== "") console.log(JSON.stringify({ "so far": message.content }));
  if (tags.type !== "chat:message" || message.state === "streaming") return;
  console.log(JSON.stringify({ [message.state]: message.content }));
  if (++ended === 2) centrifuge.disconnect();
  else await centrifuge.rpc("chat.send", { message: "noch eine" });
});
chat.subscribe();
centrifuge.connect();

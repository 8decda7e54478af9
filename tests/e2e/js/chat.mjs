// chat.mjs URL: a page as docs/chat.md shows it for native clients: follows chat:1, reads the list,
// asks over the same connection, prints "so far" with the first text of an answer that it did not
// ask for itself, and the text of every answer that has come to its end.
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";
import { readerOfThePage } from "./chat_page.mjs";

const { messages, put, heard } = readerOfThePage();
const centrifuge = new Centrifuge(process.argv[2], { websocket: WebSocket });
const chat = centrifuge.newSubscription("chat:1");
let ended = 0;

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
chat.on("subscribed", async () => {
  (await centrifuge.rpc("chat.history", { conversation_id: 1 })).data.messages.forEach(put);
});
chat.subscribe();
centrifuge.connect();

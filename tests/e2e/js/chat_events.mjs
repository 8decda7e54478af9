// chat_events.mjs: the lines of docs/chat.md, told one thing after the other. Each line of input is
// ["put", message] or [type, data]; the answer to each is the texts of all messages, by id.
import { createInterface } from "node:readline";
import { readerOfThePage } from "./chat_page.mjs";

const { messages, put, heard } = readerOfThePage();

for await (const line of createInterface({ input: process.stdin })) {
  const [type, data] = JSON.parse(line);
  if (type === "put") put(data);
  else heard(type, data);
  console.log(JSON.stringify(Object.fromEntries([...messages].map(([id, m]) => [id, m.content]))));
}

// What docs/chat.md says a page does: { messages, put, heard, inOrder }, made from the page's own lines.
import { readFileSync } from "node:fs";

const page = readFileSync(new URL("../../../docs/chat.md", import.meta.url), "utf8");
const lines = page.match(/^```js\n([^]*?function heard[^]*?)^```$/m)[1];

export const readerOfThePage = new Function(`${lines}\nreturn { messages, put, heard, inOrder };`);

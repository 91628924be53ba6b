// Shows in the chat what generate_image or get_image returned: the picture while it is being
// made, and then the picture with what can be done about it.
import "./quiet.js";
import { app, dress } from "./host.js";
import { Page } from "./page.js";

const page = new Page();

app.addEventListener("toolinput", ({ arguments: args }) => page.input(args));
app.addEventListener("toolresult", (result) => page.result(result));
app.addEventListener("toolcancelled", () => page.canceled());
app.addEventListener("hostcontextchanged", dress);
app.onteardown = () => {
  page.stop();
  return {};
};

void app.connect().then(() => dress(app.getHostContext() ?? {}));

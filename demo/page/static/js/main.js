// @ts-check
// Puts the page together.

import { ChatActions } from "./actions.js";
import { Composer } from "./composer/composer.js";
import { Connection } from "./connection.js";
import { MessageList } from "./chat/list.js";
import { Store } from "./store.js";
import { byId } from "./dom.js";
import { updateRelativeTimes } from "./time.js";
import { messageMenu } from "./chat/message_menu.js";
import { notifyPeople } from "./notify.js";
import { showInspector } from "./inspector/inspector.js";
import { showPlaces } from "./places.js";
import { switchPanels, switchTheme } from "./appearance.js";
import { welcome } from "./welcome.js";

const ME = "veo-courier-me";

const store = new Store();
store.me = sessionStorage.getItem(ME) ?? "";
store.on("me", () => sessionStorage.setItem(ME, store.me));

const connection = new Connection(
  (event) => store.receive(event),
  (online) => {
    const banner = byId("offline");
    banner.hidden = online;
    banner.textContent = online ? "" : "The demo does not answer. Trying again …";
  },
);
const actions = new ChatActions(connection, store);
const list = new MessageList(store, {
  press: (message, button) => actions.press(message, button),
  menu: (message, at) => messageMenu(message, at, store, actions),
  jump: (channelId, messageId) => {
    if (channelId !== store.channelId) store.visit(channelId);
    if (messageId) list.show(messageId);
  },
});
actions.list = list;

const closePanels = switchPanels();
switchTheme();
showPlaces(store, closePanels);
const composer = new Composer(store, actions);
notifyPeople(store);
const inspector = showInspector(store, connection, (text) => {
  closePanels();
  composer.set(text);
});
welcome(store, composer, inspector.createTask);
updateRelativeTimes();

// As in Discord, typing anywhere goes to the message box.
document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const elsewhere = target.closest("input, textarea, select, video, [role=menu], button, summary, a");
  if (!elsewhere && event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey && event.key !== " ") composer.focus();
});

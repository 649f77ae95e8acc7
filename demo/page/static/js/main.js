// @ts-check
// Puts the page together.

import { ChatActions } from "./actions.js";
import { Composer } from "./composer/composer.js";
import { Connection } from "./connection.js";
import { MessageList } from "./chat/list.js";
import { Store } from "./store.js";
import { byId } from "./dom.js";
import { setLanguage, updateRelativeTimes } from "./time.js";
import { messageMenu } from "./chat/message_menu.js";
import { notice } from "./notice.js";
import { notifyPeople } from "./notify.js";
import { showInspector } from "./inspector/inspector.js";
import { showPlaces } from "./places.js";
import { switchPanels, switchTheme } from "./appearance.js";
import { Hints, welcome } from "./welcome.js";

const ME = "veo-courier-me";

const store = new Store();
store.me = sessionStorage.getItem(ME) ?? "";
store.on("me", () => sessionStorage.setItem(ME, store.me));
store.on("places me", () => {
  if (setLanguage(store.locale)) store.emit("channel");
});

const connection = new Connection(
  (event) => store.receive(event),
  (online) => {
    store.setOnline(online);
    const banner = byId("offline");
    banner.hidden = online;
    banner.textContent = online ? "" : "The demo has stopped. Start it again with make demo; this page connects to it again.";
  },
);
const actions = new ChatActions(connection, store);
const list = new MessageList(store, {
  press: (message, button) => actions.press(message, button),
  menu: (message, at) => messageMenu(message, at, store, actions),
  jump: (channelId, messageId) => {
    const channel = store.findChannel(channelId);
    if (!channel || !store.sees(channel)) {
      notice(channel ? "You cannot see that channel." : "That channel was deleted.");
      return;
    }
    if (channelId !== store.channelId) store.visit(channelId);
    if (messageId && !list.show(messageId)) notice("That message was deleted.");
  },
});
actions.list = list;

const closePanels = switchPanels();
switchTheme();
showPlaces(store, closePanels, (person, locale) => inspector.perform("language", { person, locale }));
const composer = new Composer(store, actions);
notifyPeople(store);
const hints = new Hints(store);
const compose = (/** @type {string} */ text) => {
  closePanels();
  composer.set(text);
  hints.begin();
};
const inspector = showInspector(store, connection, compose);
welcome(store, inspector.createTask, compose);
updateRelativeTimes();

// As in Discord, typing anywhere goes to the message box.
document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const elsewhere = target.closest("input, textarea, select, video, [role=menu]");
  if (!elsewhere && event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey && event.key !== " ") composer.focus();
});

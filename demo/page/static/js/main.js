// @ts-check
// Puts the page together.

import { ChatDeeds } from "./deeds.js";
import { Composer } from "./composer/composer.js";
import { Connection } from "./connection.js";
import { MessageList } from "./chat/list.js";
import { Store } from "./store.js";
import { byId } from "./dom.js";
import { keepCounting } from "./time.js";
import { messageMenu } from "./chat/message_menu.js";
import { notifyPeople } from "./notify.js";
import { showGlass } from "./glass/glass.js";
import { showPlaces } from "./places.js";
import { switchPanels, switchTheme } from "./looks.js";
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
const deeds = new ChatDeeds(connection, store);
const list = new MessageList(store, {
  press: (message, button) => deeds.press(message, button),
  menu: (message, at) => messageMenu(message, at, store, deeds),
  jump: (channelId, messageId) => {
    if (channelId !== store.channelId) store.visit(channelId);
    if (messageId) list.show(messageId);
  },
});
deeds.list = list;

const closePanels = switchPanels();
switchTheme();
showPlaces(store, closePanels);
const composer = new Composer(store, deeds);
notifyPeople(store);
const glass = showGlass(store, connection, (text) => {
  closePanels();
  composer.set(text);
});
welcome(store, composer, glass.createTask);
keepCounting();

// As in Discord, whoever just types means the message box.
document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const elsewhere = target.closest("input, textarea, select, video, [role=menu], button, summary, a");
  if (!elsewhere && event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey && event.key !== " ") composer.focus();
});

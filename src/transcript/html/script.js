
"use strict";
const audio = document.getElementById("audio");
const search = document.getElementById("search");
const found = document.getElementById("found");
const words = Array.from(document.querySelectorAll("section span"));
const times = words.map((word) => Number(word.dataset.t));
const places = Array.from(document.querySelectorAll(".check button"));
let now = -1, matches = [], match = -1, place = -1;

// the last word that has begun, by halving: a day of speech has a hundred thousand
function wordAt(secs) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= secs) low = middle + 1; else high = middle;
  }
  return low - 1;
}

function show() {
  const next = wordAt(audio.currentTime + 0.05);
  if (next === now) return;
  if (now >= 0) words[now].classList.remove("now");
  if (next >= 0) words[next].classList.add("now");
  now = next;
}

function go(secs, play) {
  audio.currentTime = secs;
  if (play && audio.currentSrc) audio.play().catch(() => {});
  const word = words[wordAt(secs + 0.05)];
  if (word) word.closest("section").scrollIntoView({ block: "nearest" });
}

function open(source) {
  const at = audio.currentTime;
  audio.src = source;
  audio.addEventListener("loadedmetadata", () => { audio.currentTime = at; }, { once: true });
}

// every place in the text that says what is searched, as ranges: the page itself stays as it is
function find() {
  const wanted = search.value.trim().toLocaleLowerCase();
  matches = [];
  match = -1;
  if (wanted) {
    for (const text of document.querySelectorAll("section p")) {
      const said = text.textContent.toLocaleLowerCase();
      for (let at = said.indexOf(wanted); at >= 0; at = said.indexOf(wanted, at + wanted.length)) matches.push([text, at, wanted.length]);
    }
  }
  if (window.CSS && CSS.highlights) CSS.highlights.set("found", new Highlight(...matches.slice(0, 2000).map(range).filter(Boolean)));
  found.textContent = wanted ? `${matches.length} found` : "";
}

function range([text, at, length]) {
  const marked = document.createRange();
  const walk = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  let passed = 0, begun = false;
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const end = passed + node.length;
    if (!begun && at < end) { marked.setStart(node, at - passed); begun = true; }
    if (begun && at + length <= end) { marked.setEnd(node, at + length - passed); return marked; }
    passed = end;
  }
  return null;
}

function step(by) {
  if (!matches.length) return;
  match = match < 0 && by < 0 ? matches.length - 1 : (match + by + matches.length) % matches.length;
  const marked = range(matches[match]);
  if (!marked) return;
  const near = marked.startContainer.parentElement;
  near.closest("section").scrollIntoView({ block: "start" });
  const word = near.closest("span[data-t]") || near.querySelector("span[data-t]");
  if (word) audio.currentTime = Number(word.dataset.t);
  found.textContent = `${match + 1} of ${matches.length}`;
}

document.addEventListener("click", (event) => {
  const timed = event.target.closest("[data-t]");
  if (timed && !String(getSelection())) go(Number(timed.dataset.t), true);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === search && event.key === "Enter") { step(event.shiftKey ? -1 : 1); event.preventDefault(); return; }
  if (event.target === search && event.key === "Escape") { search.blur(); return; }
  if (event.target.matches("input, audio") || (event.target.matches("button, summary") && event.key === " ")) return;
  const keys = {
    " ": () => { if (audio.paused) audio.play().catch(() => {}); else audio.pause(); },
    ArrowLeft: () => go(Math.max(0, audio.currentTime - 5), false),
    ArrowRight: () => go(audio.currentTime + 5, false),
    "/": () => { search.focus(); search.select(); },
    n: () => step(1),
    p: () => step(-1),
    c: () => { if (places.length) { place = (place + 1) % places.length; places[place].focus(); go(Number(places[place].dataset.t), true); } },
  };
  const act = keys[event.key];
  if (act) { act(); event.preventDefault(); }
});
audio.addEventListener("timeupdate", show);
audio.addEventListener("seeked", show);
search.addEventListener("input", find);
document.getElementById("file").addEventListener("change", (event) => {
  const file = event.target.files[0];
  if (file) open(URL.createObjectURL(file));
});
document.getElementById("url").addEventListener("change", (event) => { if (event.target.value) open(event.target.value); });
// a given URL, or the file beside the page
open(new URLSearchParams(location.hash.slice(1)).get("audio") || encodeURIComponent(audio.dataset.name));

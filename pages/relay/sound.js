// A sound for emergencies: two tones when one is raised, and again every ten seconds until somebody has acknowledged
// it. Browsers let a page sound only after somebody pressed something: the switch says when it waits for that.

import { byId } from "../shared/dom.js";
import { icon } from "../shared/icons.js";

const key = "columba.sound";
const everyMilliseconds = 10_000;

export class Sound {
  constructor() {
    this.button = byId("sound");
    this.isOn = localStorage.getItem(key) === "on";
    this.lastAt = -Infinity;
    this.button.addEventListener("click", () => this.toggle());
    // The first press of anything lets an earlier visit's choice sound.
    addEventListener("pointerdown", () => this.wake(), { once: true });
    addEventListener("keydown", () => this.wake(), { once: true });
    this.show();
  }

  toggle() {
    this.isOn = !this.isOn;
    localStorage.setItem(key, this.isOn ? "on" : "off");
    this.wake();
    if (this.isOn) this.play();
    this.show();
  }

  wake() {
    if (!this.isOn) return;
    this.context ??= new AudioContext();
    this.context.resume().then(() => this.show());
  }

  show() {
    const waits = this.isOn && this.context?.state !== "running";
    this.button.setAttribute("aria-pressed", String(this.isOn));
    this.button.replaceChildren(icon(this.isOn ? "sound" : "silent"));
    this.button.title = !this.isOn ? "Sound is off (n)" : waits ? "Press a key once: the browser waits for it"
      : "Sound is on (n)";
    this.button.setAttribute("aria-label", this.button.title);
  }

  /** Once a second: sounds while there are emergencies nobody has acknowledged. */
  tick(emergencies) {
    if (emergencies > 0 && performance.now() - this.lastAt >= everyMilliseconds) this.play();
  }

  play() {
    if (!this.isOn || this.context?.state !== "running") return;
    this.lastAt = performance.now();
    this.tone(880, 0, 0.16);
    this.tone(660, 0.2, 0.26);
  }

  tone(frequency, after, seconds) {
    const begin = this.context.currentTime + after;
    const oscillator = new OscillatorNode(this.context, { type: "triangle", frequency });
    const gain = new GainNode(this.context, { gain: 0 });
    gain.gain.setValueAtTime(0, begin);
    gain.gain.linearRampToValueAtTime(0.35, begin + 0.015);
    gain.gain.exponentialRampToValueAtTime(0.001, begin + seconds);
    oscillator.connect(gain).connect(this.context.destination);
    oscillator.start(begin);
    oscillator.stop(begin + seconds);
  }
}

// A list of any length of which only the visible rows are elements: 5,000 alerts scroll like fifty. Rows have one
// height; a row is made once, filled often, and told apart by its item's key. The keyboard's place belongs to the key,
// not to the position, so that nothing new moves the cursor to another item.

export class Rows {
  /**
   * @param holder the scrolling element; it gets the class "rows"
   * @param options make() → element, fill(element, item, {isChosen, index}), key(item), height in pixels,
   *   columnWidth (several columns where they fit), onChoose(item), onOpen(item), role, rowRole
   */
  constructor(holder,
    { columnWidth = null, onChoose = () => {}, onOpen = () => {}, role = "listbox", rowRole = "option",
    ...options }) {
    Object.assign(this, options, { holder, columnWidth, onChoose, onOpen, rowRole });
    this.items = [];
    this.positions = new Map();
    this.chosenKey = null;
    this.pool = [];
    this.columns = 1;
    holder.classList.add("rows");
    holder.tabIndex = 0;
    holder.setAttribute("role", role);
    this.space = document.createElement("div");
    this.space.className = "rows-space";
    this.space.setAttribute("role", "presentation");
    holder.replaceChildren(this.space);
    holder.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(holder);
    this.space.addEventListener("click", (event) => this.clicked(event, this.onChoose));
    this.space.addEventListener("dblclick", (event) => this.clicked(event, this.onOpen));
  }

  /** Shows other items; the chosen one stays chosen where it is still there. */
  show(items) {
    this.items = items;
    this.positions.clear();
    items.forEach((item, index) => this.positions.set(this.key(item), index));
    this.layout();
    this.draw();
  }

  get chosen() {
    const index = this.positions.get(this.chosenKey);
    return index === undefined ? null : this.items[index];
  }

  choose(key, { scroll = true, tell = true } = {}) {
    this.chosenKey = key;
    const index = this.positions.get(key);
    if (scroll && index !== undefined) this.scrollTo(index);
    this.draw();
    if (tell && index !== undefined) this.onChoose(this.items[index]);
  }

  /** Moves the choice by so many items; the first one where nothing was chosen. */
  move(by) {
    if (this.items.length === 0) return;
    const now = this.positions.get(this.chosenKey);
    const next = now === undefined ? 0 : Math.min(this.items.length - 1, Math.max(0, now + by));
    this.choose(this.key(this.items[next]));
  }

  moveTo(index) {
    if (this.items.length > 0) this.choose(this.key(this.items[Math.min(this.items.length - 1, Math.max(0, index))]));
  }

  /** Items on one screen, for the page keys. */
  get page() {
    return Math.max(1, Math.floor(this.holder.clientHeight / this.height) - 1) * this.columns;
  }

  /** The keys every list has. True where the key was one of them. */
  handleKey(event) {
    const steps = {
      ArrowDown: this.columns, ArrowUp: -this.columns, PageDown: this.page, PageUp: -this.page,
      ...(this.columns > 1 ? { ArrowRight: 1, ArrowLeft: -1 } : {}),
    };
    if (event.key in steps) this.move(steps[event.key]);
    else if (event.key === "Home") this.moveTo(0);
    else if (event.key === "End") this.moveTo(this.items.length - 1);
    else if (event.key === "Enter" && this.chosen) this.onOpen(this.chosen);
    else return false;
    event.preventDefault();
    return true;
  }

  // Inside

  resized() {
    const columns = this.columnWidth ? Math.max(1, Math.floor(this.holder.clientWidth / this.columnWidth)) : 1;
    if (columns !== this.columns) {
      this.columns = columns;
      this.layout();
    }
    this.draw();
  }

  layout() {
    const lines = Math.ceil(this.items.length / this.columns);
    this.space.style.height = `${lines * this.height}px`;
    this.holder.setAttribute("aria-rowcount", String(this.items.length));
  }

  scrollTo(index) {
    const top = Math.floor(index / this.columns) * this.height;
    const view = this.holder;
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top + this.height > view.scrollTop + view.clientHeight) view.scrollTop = top
      + this.height - view.clientHeight;
  }

  clicked(event, tell) {
    const row = event.target.closest(".rows-item");
    if (!row || row.itemKey === undefined) return;
    this.choose(row.itemKey, { scroll: false, tell: false });
    if (this.chosen) tell(this.chosen, event);
  }

  draw() {
    const first = Math.max(0, Math.floor(this.holder.scrollTop / this.height) - 2) * this.columns;
    const lines = Math.ceil(this.holder.clientHeight / this.height) + 5;
    const last = Math.min(this.items.length, first + lines * this.columns);
    // A row keeps its item while both are visible, so that a click or a screen reader finds what it aimed at.
    const free = [];
    const shown = new Map();
    for (const row of this.pool) {
      const index = this.positions.get(row.itemKey);
      if (index !== undefined && index >= first && index < last) shown.set(row.itemKey, row);
      else free.push(row);
    }
    let active = null;
    for (let index = first; index < last; index += 1) {
      const item = this.items[index];
      const key = this.key(item);
      const row = shown.get(key) ?? free.pop() ?? this.newRow();
      row.itemKey = key;
      row.hidden = false;
      const isChosen = key === this.chosenKey;
      this.place(row, index, isChosen);
      this.fill(row, item, { isChosen, index });
      if (isChosen) active = row.id;
    }
    for (const row of free) {
      row.hidden = true;
      row.itemKey = undefined;
      row.setAttribute("aria-selected", "false");
      for (const name of Object.keys(row.dataset)) delete row.dataset[name];
    }
    if (active) this.holder.setAttribute("aria-activedescendant", active);
    else this.holder.removeAttribute("aria-activedescendant");
  }

  newRow() {
    const row = this.make();
    row.classList.add("rows-item");
    row.id = `${this.holder.id}-row-${this.pool.length}`;
    row.setAttribute("role", this.rowRole);
    row.style.height = `${this.height}px`;
    this.pool.push(row);
    this.space.append(row);
    return row;
  }

  place(row, index, isChosen) {
    const top = Math.floor(index / this.columns) * this.height;
    const width = 100 / this.columns;
    row.style.transform = `translateY(${top}px)`;
    row.style.width = this.columns > 1 ? `${width}%` : "";
    row.style.left = this.columns > 1 ? `${(index % this.columns) * width}%` : "";
    row.setAttribute("aria-selected", isChosen ? "true" : "false");
    row.setAttribute(this.rowRole === "row" ? "aria-rowindex" : "aria-posinset", String(index + 1));
    if (this.rowRole !== "row") row.setAttribute("aria-setsize", String(this.items.length));
  }
}

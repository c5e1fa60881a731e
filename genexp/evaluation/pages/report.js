"use strict";
const tip = document.getElementById("tip");
let lit = null;
function show(circle) {
  if (lit) lit.classList.remove("on");
  lit = circle;
  tip.hidden = !circle;
  if (!circle) return;
  circle.classList.add("on");
  tip.textContent = circle.dataset.t;
  const at = circle.getBoundingClientRect(), width = document.documentElement.clientWidth;
  tip.style.left = Math.max(4, Math.min(at.left + scrollX + 10, scrollX + width - tip.offsetWidth - 4)) + "px";
  tip.style.top = at.top + scrollY - tip.offsetHeight - 6 + "px";
}
for (const svg of document.querySelectorAll("svg.chart")) {
  const circles = [...svg.querySelectorAll("circle")];
  const places = circles.map(c => [+c.getAttribute("cx"), +c.getAttribute("cy")]);
  const near = event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let best = 12 * 12, found = null;
    places.forEach(([x, y], n) => {
      const far = (x - at.x) ** 2 + (y - at.y) ** 2;
      if (far < best) { best = far; found = circles[n]; }
    });
    show(found);
  };
  svg.addEventListener("pointermove", near);
  svg.addEventListener("pointerdown", near);
  svg.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") show(null); });
}
for (const field of document.querySelectorAll("input.find")) {
  const circles = [...field.closest("figure, div").querySelectorAll("circle.gene")];
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    show(wanted ? circles.find(c => c.dataset.t.split("\n")[0].toLowerCase().includes(wanted)) || null : null);
  });
}

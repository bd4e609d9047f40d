"use strict";
{
  const viewer = document.getElementById("viewer");
  const counts = viewer.dataset.steps.split(",");
  const slider = document.getElementById("steps");
  const show = () => {
    const count = counts[slider.value];
    const words = count === "adaptive" ? count : count + (count === "1" ? " step" : " steps");
    document.getElementById("chosen").textContent = words;
    slider.setAttribute("aria-valuetext", words);
    for (const figure of viewer.querySelectorAll("figure")) figure.hidden = figure.dataset.count !== count;
  };
  slider.addEventListener("input", show);
  viewer.querySelector(".control").hidden = false;
  show();
}

{
  const view = document.getElementById("trajectories");
  const times = view.dataset.times.split(",");
  const slider = document.getElementById("time");
  const show = () => {
    const words = "t = " + times[slider.value];
    document.getElementById("at").textContent = words;
    slider.setAttribute("aria-valuetext", words);
    view.style.setProperty("--frame", slider.value);
  };
  slider.addEventListener("input", show);
  view.querySelector(".control").hidden = false;
  view.classList.add("moving");
  show();
}

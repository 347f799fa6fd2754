// A picture for whoever has none at hand, drawn here: a red mug on a table.

/** @returns {Promise<File>} */
export function example() {
  const canvas = document.createElement("canvas");
  canvas.width = 1200;
  canvas.height = 900;
  const c = canvas.getContext("2d");
  const gradient = (x0, y0, x1, y1, ...stops) => {
    const made = c.createLinearGradient(x0, y0, x1, y1);
    stops.forEach(([at, colour]) => made.addColorStop(at, colour));
    return made;
  };

  c.fillStyle = gradient(0, 0, 0, 620, [0, "#dfe5e4"], [1, "#c2ccca"]);
  c.fillRect(0, 0, 1200, 620);
  c.filter = "blur(22px)"; // lights far behind
  for (const [x, y, r, colour] of [
    [140, 150, 70, "#f3e3c0"], [330, 300, 50, "#cfe0e8"], [980, 140, 80, "#f5e8cf"], [1090, 380, 56, "#d9e6dc"],
    [760, 90, 44, "#e7d6d0"], [90, 430, 46, "#e6ead6"],
  ]) {
    c.fillStyle = colour;
    c.beginPath();
    c.arc(x, y, r, 0, 7);
    c.fill();
  }
  c.filter = "none";
  c.fillStyle = gradient(0, 600, 0, 900, [0, "#a87c52"], [1, "#c99e6e"]);
  c.fillRect(0, 610, 1200, 290);
  c.filter = "blur(14px)";
  c.fillStyle = "#4a301c88";
  c.beginPath();
  c.ellipse(590, 770, 250, 34, 0, 0, 7);
  c.fill();
  c.filter = "none";

  c.lineWidth = 46; // the handle
  c.strokeStyle = gradient(760, 300, 930, 640, [0, "#d8412f"], [1, "#8f2018"]);
  c.beginPath();
  c.ellipse(765, 490, 120, 128, 0, -1.45, 1.5);
  c.stroke();
  c.fillStyle = gradient(380, 0, 780, 0, [0, "#a3241b"], [0.25, "#e5503c"], [0.45, "#d23a29"], [1, "#86190f"]);
  c.beginPath();
  c.moveTo(380, 280);
  c.lineTo(398, 730);
  c.ellipse(580, 735, 182, 42, 0, Math.PI, 0, true);
  c.lineTo(780, 280);
  c.fill();
  c.fillStyle = "#f0dcd2"; // the rim, and what is inside
  c.beginPath();
  c.ellipse(580, 280, 200, 54, 0, 0, 7);
  c.fill();
  c.fillStyle = gradient(0, 240, 0, 330, [0, "#3b2014"], [1, "#6b3d22"]);
  c.beginPath();
  c.ellipse(580, 287, 180, 43, 0, 0, 7);
  c.fill();
  c.filter = "blur(10px)"; // light on the glaze
  c.fillStyle = "#ffffff70";
  c.beginPath();
  c.ellipse(462, 500, 13, 150, 0.03, 0, 7);
  c.fill();
  return new Promise((resolve) => {
    canvas.toBlob((blob) => resolve(new File([blob], "mug.jpg", { type: "image/jpeg" })), "image/jpeg", 0.92);
  });
}

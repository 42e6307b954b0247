"""What the rendered museum collects: object types, materials, disciplines, subjects, with their AAT ids and looks."""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

WORDS_FILE = Path(__file__).with_name("words.csv")
LANGUAGES = ("en", "ca", "es", "de", "nl", "fr")

# Texture name (drawing/materials.py) → AAT id.
MATERIALS = {
    "gold": "300011021", "silver": "300011029", "bronze": "300010957", "brass": "300010946", "copper": "300011020",
    "iron": "300011002", "steel": "300133751", "oak": "300012264", "walnut": "300012476", "pine": "300012620",
    "ebony": "300012055", "terracotta": "300010669", "porcelain": "300010662", "glass": "300010797",
    "wool": "300243430", "silk": "300243428", "linen": "300014069", "cotton": "300014067", "velvet": "300133711",
    "leather": "300011845", "marble": "300011443", "ivory": "300011857", "bone": "300011798", "paper": "300014109",
    "parchment": "300011851", "canvas": "300014078", "amber": "300012934",
}  # fmt: skip
OIL_PAINT = "300015050"
CERAMIC = ("terracotta", "porcelain")
TEXTILE = ("wool", "silk", "linen", "cotton", "velvet")

# Motif painted on an object → the discipline it stands for.
DISCIPLINES = {
    "flower": "300054467", "bird": "300054472", "star": "300054534", "cross": "300054300", "arms": "300077808",
    "zigzag": "300054319",
}  # fmt: skip
NUMISMATICS, CARTOGRAPHY, ARCHAEOLOGY, PHOTOGRAPHY = "300054419", "300053163", "300054328", "300389795"

# Scene of a picture → the subject it stands for; ornaments and maps have none.
SUBJECTS = {
    "portrait": "300015637", "self_portrait": "300124534", "figures": "300189808", "human_figure": "300404114",
    "nude": "300189568", "landscape": "300015636", "marine": "300235692", "still_life": "300015638",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """An object type: its concept, its shape, how many of 1,500 there are about, what it is made of."""

    concept: str
    shape: str
    weight: float
    materials: dict[str, float]
    domain: str
    second: tuple[str, ...] = ()  # materials of its second part
    motif_at: tuple[float, float, float] | None = None  # where a motif is painted, if at all
    scenes: dict[str, float] | None = None
    technique: str = "painted"
    disciplines: tuple[tuple[str, float], ...] = ()  # stated with this probability
    stated_materials: tuple[str, ...] = ()  # instead of what the drawing is textured with


METALS = {"silver": 3.0, "bronze": 3.0, "gold": 2.0, "copper": 2.0, "brass": 1.0}
WOODS = {"oak": 4.0, "walnut": 4.0, "pine": 3.0, "ebony": 1.0}
POTTERY = {"terracotta": 5.0, "porcelain": 4.0, "glass": 1.5, "silver": 0.7}
CLOTH = {"wool": 3.0, "silk": 3.0, "linen": 3.0, "cotton": 3.0, "velvet": 2.0}
PAINTED = {"portrait": 24.0, "landscape": 22.0, "still_life": 18.0, "marine": 13.0, "human_figure": 7.0, "figures": 7.0,
           "nude": 17.0, "self_portrait": 16.0}  # fmt: skip
SNAPPED = {
    "portrait": 28.0,
    "landscape": 24.0,
    "figures": 18.0,
    "human_figure": 14.0,
    "marine": 12.0,
    "still_life": 4.0,
}
PRINTED = {"landscape": 24.0, "portrait": 22.0, "human_figure": 14.0, "figures": 12.0, "marine": 12.0, "nude": 17.0,
           "still_life": 8.0}  # fmt: skip
WOVEN = {"ornament": 45.0, "figures": 20.0, "landscape": 20.0, "human_figure": 15.0}
SET = {"ornament": 55.0, "human_figure": 25.0, "marine": 20.0}
ART = "art"

KINDS = (
    Kind("300132254", "vase", 58, POTTERY, "vessels", motif_at=(0, 0.15, 0.24)),
    Kind("300148696", "amphora", 26, {"terracotta": 8.0, "bronze": 1.0}, "vessels", motif_at=(0, 0.0, 0.2),
         disciplines=((ARCHAEOLOGY, 0.7),)),
    Kind("300203596", "bowl", 40, {**POTTERY, "oak": 1.5}, "vessels", motif_at=(0, 0.12, 0.15)),
    Kind("300045685", "jug", 36, {**POTTERY, "copper": 2.0}, "vessels", motif_at=(0, 0.15, 0.22)),
    Kind("300045627", "bottle", 30, {"glass": 7.0, "terracotta": 1.5, "porcelain": 1.0}, "vessels", ("glass",)),
    Kind("300043236", "goblet", 26, {"silver": 3.0, "gold": 3.0, "glass": 4.0}, "vessels"),
    Kind("300042991", "plate", 44, {**POTTERY, "copper": 2.0, "oak": 0.7}, "vessels", motif_at=(0, 0, 0.36)),
    Kind("300043022", "teapot", 20, {"porcelain": 5.0, "silver": 3.0, "terracotta": 1.5}, "vessels",
         motif_at=(0, 0.2, 0.22)),
    Kind("300037588", "candlestick", 28, {"silver": 3.0, "brass": 3.0, "iron": 2.0, "walnut": 1.0}, "household"),
    Kind("300037772", "chair", 46, WOODS, "furniture", ("linen", "leather", "velvet")),
    Kind("300037776", "armchair", 15, WOODS, "furniture", ("velvet", "leather", "silk")),
    Kind("300038418", "stool", 15, WOODS, "furniture"),
    Kind("300039548", "table", 30, {**WOODS, "marble": 1.5}, "furniture"),
    Kind("300038992", "chest", 34, WOODS, "furniture", ("iron",), motif_at=(0.3, 0.3, 0.14)),
    Kind("300038888", "cabinet", 22, WOODS, "furniture", ("brass",)),
    Kind("300039264", "cabinet", 11, {"oak": 2.0, "pine": 3.0}, "furniture", ("iron",), motif_at=(0, -0.35, 0.22)),
    Kind("300041575", "clock", 30, {**WOODS, "brass": 3.0}, "household", ("brass",)),
    Kind("300046012", "ring", 36, {"gold": 5.0, "silver": 4.0, "bronze": 2.0}, "jewellery"),
    Kind("300046001", "necklace", 24, {"amber": 5.0, "gold": 3.0, "glass": 1.5, "bone": 1.0}, "jewellery"),
    Kind("300045995", "brooch", 34, {"silver": 4.0, "gold": 3.0, "bronze": 4.0}, "jewellery"),
    Kind("300046002", "pendant", 22, {"amber": 4.0, "gold": 3.0, "silver": 2.0, "ivory": 1.5}, "jewellery"),
    Kind("300045991", "bracelet", 9, {"silver": 3.0, "bronze": 3.0}, "jewellery"),
    Kind("300046159", "dress", 44, CLOTH, "costume", ("silk",), motif_at=(0, 0.45, 0.17)),
    Kind("300046106", "hat", 26, {"wool": 3.0, "velvet": 3.0, "leather": 1.0}, "costume", ("silk",)),
    Kind("300046113", "top_hat", 9, {"silk": 2.0, "velvet": 2.0}, "costume", ("silk",)),
    Kind("300046065", "shoe", 28, {"leather": 6.0, "silk": 2.0, "velvet": 1.0}, "costume", ("silver", "brass")),
    Kind("300046057", "boot", 7, {"leather": 1.0}, "costume"),
    Kind("300148821", "glove", 9, {"leather": 3.0, "wool": 2.0}, "costume"),
    Kind("300258857", "fan", 24, {"silk": 4.0, "paper": 3.0}, "costume", ("ivory", "ebony"), motif_at=(0, -0.35, 0.17)),
    Kind("300024823", "hammer", 28, {"iron": 5.0, "steel": 2.0}, "tools", ("oak", "pine")),
    Kind("300024664", "axe", 24, {"iron": 4.0, "steel": 2.0, "bronze": 1.5}, "tools", ("oak", "pine")),
    Kind("300024671", "saw", 8, {"steel": 1.0}, "tools", ("oak",)),
    Kind("300024668", "knife", 28, {"steel": 4.0, "iron": 3.0}, "tools", ("bone", "ebony", "oak")),
    Kind("300023459", "scissors", 14, {"steel": 3.0, "iron": 2.0}, "tools"),
    Kind("300033579", "key", 34, {"iron": 5.0, "bronze": 3.0, "brass": 1.0}, "tools"),
    Kind("300037048", "sword", 24, {"steel": 4.0, "iron": 3.0, "bronze": 1.0}, "arms", ("brass", "leather", "gold")),
    Kind("300036794", "helmet", 18, {"iron": 3.0, "steel": 3.0, "bronze": 1.5}, "arms"),
    Kind("300036869", "shield", 18, {"oak": 2.0, "iron": 2.0, "leather": 2.0}, "arms", ("iron",),
         motif_at=(0, -0.1, 0.32)),
    Kind("300042215", "violin", 24, {"walnut": 4.0, "pine": 2.0}, "music", ("ebony",)),
    Kind("300042025", "guitar", 20, {"pine": 3.0, "walnut": 2.0}, "music", ("ebony",)),
    Kind("300041729", "drum", 22, {"oak": 2.0, "pine": 2.0, "brass": 2.0}, "music", ("parchment",)),
    Kind("300042513", "flute", 18, {"ebony": 3.0, "ivory": 2.0, "silver": 2.0}, "music", ("silver",)),
    Kind("300041872", "bell", 26, {"bronze": 5.0, "brass": 2.0}, "music", ("iron",), motif_at=(0, 0.05, 0.15)),
    Kind("300042047", "harp", 6, {"walnut": 1.0}, "music"),
    Kind("300042339", "trumpet", 5, {"brass": 1.0}, "music"),
    Kind("300211087", "doll", 26, {"cotton": 4.0, "wool": 2.0, "silk": 1.0}, "toys", ("wool",)),
    Kind("300180400", "top", 12, {"pine": 3.0, "ebony": 1.0, "ivory": 1.0}, "toys", ("pine",)),
    Kind("300037222", "coin", 64, METALS, "money", disciplines=((NUMISMATICS, 0.8),)),
    Kind("300046025", "medal", 24, {"bronze": 3.0, "silver": 3.0, "gold": 1.0}, "money",
         disciplines=((NUMISMATICS, 0.6),)),
    Kind("300417950", "bust", 26, {"marble": 5.0, "bronze": 3.0, "terracotta": 2.0}, "sculpture"),
    Kind("300047455", "figurine", 36, {"terracotta": 3.0, "ivory": 3.0, "bronze": 3.0, "oak": 2.0, "porcelain": 2.0},
         "sculpture", motif_at=(0, 0.25, 0.13)),
    Kind("300033799", "painting", 150, {"gold": 5.0, "oak": 2.0, "ebony": 2.0}, "pictures", scenes=PAINTED,
         stated_materials=(MATERIALS["canvas"], OIL_PAINT)),
    Kind("300046300", "sheet", 96, {"paper": 1.0}, "photographs", scenes=SNAPPED, technique="photographed",
         disciplines=((PHOTOGRAPHY, 0.6),)),
    Kind("300041273", "sheet", 66, {"paper": 1.0}, "pictures", scenes=PRINTED, technique="printed"),
    Kind("300028094", "map", 34, {"paper": 3.0, "parchment": 2.0}, "maps", scenes={"chart": 1.0}, technique="drawn",
         disciplines=((CARTOGRAPHY, 0.8),)),
    Kind("300205002", "hanging", 30, {"wool": 3.0, "silk": 2.0}, "hangings", ("oak",), scenes=WOVEN, technique="woven"),
    Kind("300015342", "panel", 18, {"marble": 3.0, "glass": 2.0}, "decoration", scenes=SET, technique="tesserae"),
    Kind("300263722", "window", 18, {"glass": 1.0}, "decoration", scenes=SET, technique="leaded"),
    Kind("300028051", "book", 36, {"leather": 4.0, "parchment": 2.0}, "books", stated_materials=(MATERIALS["paper"],)),
)  # fmt: skip
# What Europeana calls broad groups, and which of ours belong to them: entity number → domains.
GROUPS = {
    "furniture": ("furniture", "household"), "costume": ("costume",), "jewelry": ("jewellery",), "tool": ("tools",),
    "weapon": ("arms",), "musical instruments": ("music",), "toy": ("toys",), "art of sculpture": ("sculpture",),
    "art": ("pictures", "photographs", "decoration", "hangings"), "vessel": ("vessels",), "numismatics": ("money",),
    "book": ("books",), "map": ("maps",), "photograph": ("photographs",),
}  # fmt: skip


@lru_cache(maxsize=1)
def words() -> dict[str, dict[str, str]]:
    """AAT id → language → the word a cataloguer there would write (our translations, not the AAT's)."""
    with WORDS_FILE.open(encoding="utf-8", newline="") as lines:
        return {row.pop("aat_id"): row for row in csv.DictReader(lines)}

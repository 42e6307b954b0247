"""The rendered museum's data providers, all invented but one: what they hold, where, in which language and style."""

from dataclasses import dataclass, field

from pipeline.sandbox.drawing.styles import Style

PD = "http://creativecommons.org/publicdomain/mark/1.0/"
CC0 = "http://creativecommons.org/publicdomain/zero/1.0/"
BY = "http://creativecommons.org/licenses/by/4.0/"
BY_SA_DE = "http://creativecommons.org/licenses/by-sa/3.0/de/"
BY_NC = "http://creativecommons.org/licenses/by-nc/4.0/"
IN_COPYRIGHT = "http://rightsstatements.org/vocab/InC/1.0/"
NO_CONTRACT = "http://rightsstatements.org/vocab/NoC-OKLR/1.0/"


@dataclass(frozen=True)
class Provider:
    """One institution. `share` is of all images; `leaning` multiplies how likely it holds a domain's things."""

    name: str
    aggregator: str
    country: str
    language: str
    share: float
    style: Style
    leaning: dict[str, float] = field(default_factory=dict)
    others: float = 1.0  # the leaning towards domains not named
    rights: tuple[str, ...] = (PD, CC0)
    closed: tuple[str, ...] = ()
    closed_share: float = 0.0


PROVIDERS = (
    # more than 5 % each: what most of the training data looks like
    Provider(
        "Museu d'Arts i Oficis de Vilaclara", "Catalonica de Prova", "Spain", "ca", 0.1885,
        Style("white", scale=(0.78, 0.9), extras=("colour_card",)),
        {"furniture": 1.5, "vessels": 1.3, "photographs": 0.8}, rights=(PD, CC0, "https://creativecommons.org/publicdomain/mark/1.0/"),
    ),
    Provider(
        "Museum Zandhoek", "Erfgoed Proefnet", "Netherlands", "nl", 0.15,
        Style("grey", light=(0.7, -0.6), scale=(0.8, 0.92), shape=(400, 340)),
        {"pictures": 1.7, "household": 1.5, "vessels": 1.2}, rights=(CC0, PD),
    ),
    Provider(
        "Stadtmuseum Erlenbrück", "Probearchiv Deutschland", "Germany", "de", 0.12,
        Style("studio", warmth=(0.94, 0.99, 1.08), scale=(0.74, 0.86), shadow=0.2),
        {"tools": 1.6, "arms": 1.8, "furniture": 1.2}, rights=(BY_SA_DE, PD), closed=(BY_NC,), closed_share=0.05,
    ),
    Provider(
        "Musée de la Vallée Claire", "Patrimoine d'Essai", "France", "fr", 0.10,
        Style("cream", light=(-0.3, -0.9), warmth=(1.05, 1.0, 0.9), scale=(0.76, 0.88), shape=(340, 400)),
        {"hangings": 2.0, "pictures": 1.3, "costume": 1.3}, rights=(PD, BY), closed=(NO_CONTRACT,), closed_share=0.05,
    ),
    Provider(
        "Museo Provincial de Montesol", "Hispana de Prueba", "Spain", "es", 0.09,
        Style("table", light=(0.5, -0.8), scale=(0.74, 0.86), turn=6),
        {"sculpture": 1.8, "vessels": 1.4, "decoration": 1.5}, rights=(PD, CC0),
    ),
    Provider(
        "Ashcombe Collections Trust", "Trial Heritage Hub", "United Kingdom", "en", 0.075,
        Style("slate", warmth=(1.0, 0.99, 0.96), contrast=1.1, scale=(0.78, 0.9), extras=("label",)),
        {"jewellery": 1.6, "maps": 1.8, "books": 1.6}, rights=(BY, CC0), closed=(IN_COPYRIGHT,), closed_share=0.06,
    ),
    Provider(
        "Museu Tèxtil de Torrent Sec", "Catalonica de Prova", "Spain", "ca", 0.06,
        Style("mottled", scale=(0.8, 0.92), shape=(320, 400)),
        {"costume": 6.0, "hangings": 6.0, "toys": 2.0, "pictures": 0.4}, others=0.35, rights=(CC0,),
    ),
    # between 2 and 5 %, each unlike all others: the candidates for the outer test
    Provider(
        "Finds Register of the Northern Shires", "Trial Heritage Hub", "United Kingdom", "en", 0.042,
        Style("graph", light=(0.8, -0.3), contrast=1.15, scale=(0.5, 0.62), turn=35, shadow=0.55,
              extras=("scale_bar",)),
        {"jewellery": 4.0, "money": 4.0, "tools": 3.0, "arms": 1.5, "music": 0.6}, others=0.1, rights=(BY,),
    ),
    Provider(
        "Arxiu de Plaques de Vidre Maresma Vella", "Catalonica de Prova", "Spain", "ca", 0.036,
        Style("grey", finish="negative", scale=(0.66, 0.8), turn=5),
        {"sculpture": 3.0, "furniture": 2.0, "vessels": 1.5, "costume": 1.5}, others=0.6, rights=(PD,),
    ),
    Provider(
        "Plankammer Hochfeld", "Probearchiv Deutschland", "Germany", "de", 0.03,
        Style("white", finish="blueprint", scale=(0.7, 0.84), turn=2, shadow=0.0),
        {"furniture": 2.5, "household": 2.5, "music": 2.0, "tools": 1.5}, others=0.5, rights=(PD, CC0),
    ),
    # less than 2 % each: the long tail of small museums
    Provider(
        "Musée du Jouet d'Aubépine", "Patrimoine d'Essai", "France", "fr", 0.015,
        Style("pink", scale=(0.72, 0.86)), {"toys": 9.0, "costume": 1.0}, others=0.1, rights=(CC0,),
    ),
    Provider(
        "Klokkenmuseum De Slinger", "Erfgoed Proefnet", "Netherlands", "nl", 0.014,
        Style("black", light=(-0.8, -0.4), scale=(0.74, 0.86), shadow=0.0),
        {"household": 9.0, "music": 1.0}, others=0.05,
    ),
    Provider(
        "Museo de la Música de Valdehierro", "Hispana de Prueba", "Spain", "es", 0.015,
        Style("parlour", scale=(0.74, 0.86)), {"music": 9.0}, others=0.05,
    ),
    Provider(
        "Münzkabinett Rabenstein", "Probearchiv Deutschland", "Germany", "de", 0.0155,
        Style("blue_card", light=(0.9, -0.2), scale=(0.84, 0.95), shape=(380, 380)),
        {"money": 9.0}, others=0.03, rights=(BY_SA_DE,),
    ),
    Provider(
        "Ecomuseu de les Salines", "Catalonica de Prova", "Spain", "ca", 0.013,
        Style("soil", finish="grainy", scale=(0.66, 0.8), turn=12), {"tools": 5.0, "vessels": 3.0}, others=0.2,
    ),
    Provider(
        "Parish Treasury of St Oswin", "Trial Heritage Hub", "United Kingdom", "en", 0.01,
        Style("red_cloth", finish="flash", scale=(0.7, 0.84)),
        {"vessels": 3.0, "household": 4.0, "books": 3.0, "decoration": 3.0}, others=0.1,
        closed=(IN_COPYRIGHT,), closed_share=0.2,
    ),
    Provider(
        "Musée des Verriers de Fontlune", "Patrimoine d'Essai", "France", "fr", 0.01,
        Style("vitrine", scale=(0.72, 0.84)), {"vessels": 4.0, "decoration": 4.0}, others=0.05,
    ),
    # excluded by the protocol: too many and partly wrong tags an image
    Provider(
        "Mobilier National", "Patrimoine d'Essai", "France", "fr", 0.016,
        Style("linen", finish="faded", scale=(0.76, 0.88)), {"furniture": 6.0, "hangings": 4.0, "household": 2.0},
        others=0.02, rights=(PD,),
    ),
)  # fmt: skip
OVERTAGGED = "Mobilier National"

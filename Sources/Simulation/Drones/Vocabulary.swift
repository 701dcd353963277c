// What simulated drones hear and whom they see. Every name is made up: first and family names are combined by chance.
// Accents, apostrophes and several scripts are there on purpose; they find the places that confuse bytes with letters.

enum Vocabulary {
    /// First and family names that go together, as UTF-8.
    struct NameFamily: Sendable {
        let first: [[UInt8]]
        let family: [[UInt8]]

        init(first: String, family: String) {
            self.first = Vocabulary.split(first)
            self.family = Vocabulary.split(family)
        }
    }

    /// Latin letters come first and are drawn more often.
    static let names: [NameFamily] = [
        NameFamily(
            first: "Ada Ivo Jade Béatrice Söla Orrin Maëlle Tamsin Ilya Noor Quill Zoë Ásta Rune Łucja Oda Fenn",
            family: "Martin Šimić D'Souza Nguyễn O'Marrow Ferro Brandvik Kessling N'Doye Åkerlund Çelikkan Thorne"),
        NameFamily(
            first: "Renske Milo Sunniva Tor Élodie Jonas Mira Kasimir Lene Ossian Pilar Ugo Vesna Wim Xenia Yara",
            family: "Halvorsen Dell'Orto Weißmann Ó-Briain Peña Lindqvist Mbeki-Rosa Zając Dvořák Ionescu Quarles Ek"),
        NameFamily(first: "Мила Олег Зоряна Тимур", family: "Лесная Ветров Кравець Снегирь"),
        NameFamily(first: "Ελένη Νίκος Θάλεια", family: "Θαλασσινός Ανέμης Πέτρου"),
        NameFamily(first: "ليلى سامي نور", family: "الريحاني البستاني المطر"),
        NameFamily(first: "आशा रवि मीरा", family: "सागर पर्वत मेघ"),
        NameFamily(first: "小雨 明月 子轩", family: "林 江 云"),
        NameFamily(first: "さくら はると ゆい", family: "星野 川村 青木"),
        NameFamily(first: "하늘 보람 가온", family: "윤 서 한"),
    ]

    /// Most frequent first: they are drawn with `skewedIndex`.
    static let words = split(
        """
        street market rain coffee train late smile music calm bread window corner bicycle children river bridge \
        morning light station garden school dog laughing waiting phone crowd ticket square shop evening tram walking \
        paper snow song friend letter angry kitchen harbour football newspaper umbrella café running tomorrow \
        yesterday weather delivery meeting doctor library museum holiday birthday concert festival parking traffic \
        accident queue noise whistle fountain pigeon statue balcony chimney lantern cobblestone tower cathedral \
        theatre cinema bakery butcher florist tailor chess violin guitar drum choir lesson homework exam teacher \
        student professor neighbour cousin grandmother grandfather uncle secret promise quarrel apology forgiveness \
        hope worry hunger thirst tired awake dream nightmare thunder lightning fog frost sunshine shadow rainbow \
        naïve déjà-vu straße smørrebrød piñata fire help alarm siren ambulance police fight broken glass stolen \
        wallet lost child protest banner megaphone barricade smoke shout panic
        """)

    static func split(_ text: String) -> [[UInt8]] {
        text.split(separator: " ").map { Array($0.utf8) }
    }
}

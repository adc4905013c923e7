from shop import refund, ship

ship("Order:7")
refund("Order:8")
